"""The EHR contract: its table of functions. One line a function, one file an area."""

from __future__ import annotations

from healthchain.chaincode.dispatch import Contract
from healthchain.contract import (
    aggregates,
    audit,
    authorisations,
    billing,
    claim_reading,
    claims,
    claims_due,
    compartments,
    consents,
    coverage,
    custody,
    death,
    disclosures,
    emergency,
    erasure,
    explaining,
    governance,
    guardians,
    keys,
    leaving,
    licences,
    members,
    merging,
    overseeing,
    patients,
    reading,
    records,
    registry,
    rekeying,
    report_reading,
    reports,
    reviews,
    revocation,
    sessions,
)

CONTRACT = Contract(version="1")

CONTRACT.submits("members:Found")(members.found)
CONTRACT.evaluates("members:List")(members.list_members)

CONTRACT.submits("governance:Propose")(governance.propose)
CONTRACT.submits("governance:Vote")(governance.vote)
CONTRACT.evaluates("governance:Get")(governance.get)
CONTRACT.evaluates("governance:List")(governance.list_proposals)
CONTRACT.evaluates("governance:Comment")(governance.comment)
CONTRACT.evaluates("governance:Policies")(governance.show_policies)
CONTRACT.evaluates("governance:Left")(leaving.left)
CONTRACT.submits("governance:PurgeMember")(leaving.purge_member)

CONTRACT.submits("licences:Issue")(licences.issue)
CONTRACT.submits("licences:Suspend")(licences.suspend)
CONTRACT.submits("licences:Reinstate")(licences.reinstate)
CONTRACT.evaluates("licences:List")(licences.list_licences)

CONTRACT.submits("patients:Register")(patients.register)
CONTRACT.evaluates("patients:Get")(registry.get)
CONTRACT.evaluates("patients:List")(registry.list_patients)
CONTRACT.evaluates("patients:PreviewAddCompartment")(compartments.preview)
CONTRACT.submits("patients:AddCompartment")(compartments.add)
CONTRACT.submits("patients:RecordDeath")(death.record_death)
CONTRACT.submits("patients:RevokeDeath")(death.revoke_death)
CONTRACT.submits("patients:Erase")(erasure.erase_patient)

CONTRACT.submits("guardians:Appoint")(guardians.appoint)
CONTRACT.submits("guardians:End")(guardians.end)
CONTRACT.evaluates("guardians:List")(guardians.list_guardians)

CONTRACT.submits("merging:Propose")(merging.propose)
CONTRACT.submits("merging:Confirm")(merging.confirm)
CONTRACT.submits("merging:Withdraw")(merging.withdraw)

CONTRACT.submits("custody:Offer")(custody.offer)
CONTRACT.submits("custody:Withdraw")(custody.withdraw)
CONTRACT.submits("custody:Refuse")(custody.refuse)
CONTRACT.evaluates("custody:OfferedKeys")(custody.fetch)
CONTRACT.submits("custody:Accept")(custody.accept)
CONTRACT.submits("custody:Assign")(custody.assign)
CONTRACT.submits("custody:HandKeys")(custody.hand_keys)

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
CONTRACT.evaluates("keys:GetForHanding")(keys.get_for_handing)

CONTRACT.evaluates("emergency:Audience")(emergency.audience)
CONTRACT.submits("emergency:Open")(emergency.open_emergency)
CONTRACT.submits("emergency:Release")(emergency.release)
CONTRACT.evaluates("emergency:Waiting")(emergency.waiting)
CONTRACT.evaluates("emergency:Keys")(emergency.keys)
CONTRACT.evaluates("emergency:Reason")(reviews.reason)
CONTRACT.submits("emergency:Review")(reviews.review)
CONTRACT.evaluates("emergency:List")(reviews.list_emergencies)
CONTRACT.evaluates("emergency:Queue")(reviews.queue)

CONTRACT.submits("coverage:Enrol")(coverage.enrol)
CONTRACT.submits("coverage:End")(coverage.end)
CONTRACT.evaluates("coverage:List")(coverage.list_coverages)
CONTRACT.evaluates("coverage:Body")(coverage.body)
CONTRACT.submits("authorisations:Request")(authorisations.request)
CONTRACT.submits("authorisations:Answer")(authorisations.answer)
CONTRACT.evaluates("authorisations:List")(authorisations.list_authorisations)
CONTRACT.evaluates("authorisations:Message")(authorisations.fetch)

CONTRACT.submits("claims:BindEncounter")(billing.bind)
CONTRACT.submits("claims:Submit")(claims.submit)
CONTRACT.submits("claims:RequestInformation")(claims.request_information)
CONTRACT.submits("claims:Answer")(claims.answer)
CONTRACT.submits("claims:Withdraw")(claims.withdraw)
CONTRACT.submits("claims:Adjudicate")(claims.adjudicate)
CONTRACT.submits("claims:Appeal")(claims.appeal)
CONTRACT.submits("claims:Settle")(claims.settle)
CONTRACT.submits("claims:Purge")(claims.purge)
CONTRACT.evaluates("claims:Get")(claim_reading.get)
CONTRACT.evaluates("claims:List")(claim_reading.list_claims)
CONTRACT.evaluates("claims:Due")(claims_due.list_due)
CONTRACT.evaluates("claims:Message")(claim_reading.fetch)
CONTRACT.evaluates("claims:Records")(claim_reading.records)
CONTRACT.evaluates("claims:OpenAmount")(claim_reading.open_amount)

CONTRACT.submits("reports:File")(reports.file)
CONTRACT.submits("reports:Acknowledge")(reports.acknowledge)
CONTRACT.submits("reports:FollowUp")(reports.follow_up)
CONTRACT.submits("reports:Request")(reports.request)
CONTRACT.submits("reports:Withdraw")(reports.withdraw)
CONTRACT.evaluates("reports:Get")(report_reading.get)
CONTRACT.evaluates("reports:List")(report_reading.list_reports)
CONTRACT.evaluates("reports:Overdue")(report_reading.overdue)
CONTRACT.evaluates("reports:Message")(report_reading.fetch)

CONTRACT.submits("aggregates:Publish")(aggregates.publish)
CONTRACT.evaluates("aggregates:Get")(aggregates.get)
CONTRACT.evaluates("aggregates:List")(aggregates.list_aggregates)
CONTRACT.evaluates("aggregates:Trace")(aggregates.trace)

CONTRACT.evaluates("audit:List")(audit.list_entries)
CONTRACT.evaluates("audit:Oversee")(overseeing.oversee)
