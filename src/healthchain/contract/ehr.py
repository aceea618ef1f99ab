"""The EHR contract: its table of functions. One line a function, one file an area."""

from __future__ import annotations

from healthchain.chaincode.dispatch import Contract
from healthchain.contract import (
    audit,
    compartments,
    consents,
    disclosures,
    emergency,
    erasure,
    explaining,
    keys,
    licences,
    members,
    patients,
    reading,
    records,
    rekeying,
    revocation,
    sessions,
)

CONTRACT = Contract(version="1")

CONTRACT.submits("members:Found")(members.found)
CONTRACT.submits("members:PublishKey")(members.publish_key)
CONTRACT.evaluates("members:List")(members.list_members)

CONTRACT.submits("licences:Issue")(licences.issue)
CONTRACT.submits("licences:Suspend")(licences.suspend)
CONTRACT.submits("licences:Reinstate")(licences.reinstate)
CONTRACT.evaluates("licences:List")(licences.list_licences)

CONTRACT.submits("patients:Register")(patients.register)
CONTRACT.evaluates("patients:Get")(patients.get)
CONTRACT.evaluates("patients:List")(patients.list_patients)
CONTRACT.evaluates("patients:PreviewAddCompartment")(compartments.preview)
CONTRACT.submits("patients:AddCompartment")(compartments.add)
CONTRACT.submits("patients:Erase")(erasure.erase_patient)

CONTRACT.submits("records:Write")(records.write)
CONTRACT.submits("records:Disclose")(reading.disclose)
CONTRACT.evaluates("records:Read")(reading.read)
CONTRACT.evaluates("records:List")(reading.list_records)
CONTRACT.submits("records:Erase")(erasure.erase_records)

CONTRACT.submits("consents:Grant")(consents.grant)
CONTRACT.evaluates("consents:PreviewRevoke")(revocation.preview)
CONTRACT.submits("consents:Revoke")(revocation.revoke)
CONTRACT.submits("consents:Order")(revocation.order)
CONTRACT.evaluates("consents:OrderText")(revocation.fetch_order)
CONTRACT.evaluates("consents:Explain")(explaining.explain)
CONTRACT.evaluates("consents:List")(consents.list_consents)

CONTRACT.submits("sessions:Open")(sessions.open_session)
CONTRACT.submits("sessions:Renew")(sessions.renew)
CONTRACT.submits("sessions:Delegate")(sessions.delegate)
CONTRACT.submits("sessions:Close")(sessions.close)
CONTRACT.evaluates("sessions:List")(disclosures.list_sessions)
CONTRACT.evaluates("keys:PreviewRotate")(rekeying.preview_rotation)
CONTRACT.submits("keys:Rotate")(rekeying.rotate)
CONTRACT.evaluates("keys:Get")(keys.get)
CONTRACT.evaluates("keys:GetForWriting")(keys.get_for_writing)

CONTRACT.submits("emergency:Open")(emergency.open_emergency)
CONTRACT.submits("emergency:Release")(emergency.release)
CONTRACT.submits("emergency:Review")(emergency.review)
CONTRACT.evaluates("emergency:Waiting")(emergency.waiting)
CONTRACT.evaluates("emergency:Keys")(emergency.keys)
CONTRACT.evaluates("emergency:Reason")(emergency.reason)
CONTRACT.evaluates("emergency:List")(emergency.list_emergencies)
CONTRACT.evaluates("emergency:Queue")(emergency.queue)

CONTRACT.evaluates("audit:List")(audit.list_entries)
