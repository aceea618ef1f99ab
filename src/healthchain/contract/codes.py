"""Every refusal of the contract: a code that never changes its meaning, a status, one line of words.

The words are constants, so that no refusal can carry a name, a key or anything else that a caller sent.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from healthchain.chaincode.dispatch import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND, Refusal

GONE = 410
TOO_LARGE = 413


class Code(StrEnum):
    """`Code.X` is the code; `.status` and `.meaning` go with it."""

    status: int
    meaning: str

    def __new__(cls, code: str, status: int, meaning: str) -> Self:
        self = str.__new__(cls, code)
        self._value_ = code
        self.status = status
        self.meaning = meaning
        return self

    ARGUMENTS_INVALID = "ARGUMENTS_INVALID", BAD_REQUEST, "the arguments do not fit the function"

    CONSORTIUM_FOUNDED = "CONSORTIUM_FOUNDED", CONFLICT, "the consortium was founded before"
    MEMBER_UNKNOWN = (
        "MEMBER_UNKNOWN",
        FORBIDDEN,
        "the caller's organisation is not a member of the consortium",
    )
    MEMBER_SUSPENDED = "MEMBER_SUSPENDED", FORBIDDEN, "the caller's organisation is suspended"
    MEMBER_REMOVED = "MEMBER_REMOVED", FORBIDDEN, "the caller's organisation was removed from the consortium"
    MEMBER_DUPLICATE = "MEMBER_DUPLICATE", BAD_REQUEST, "an organisation is named twice"
    FOUNDER_NOT_LISTED = (
        "FOUNDER_NOT_LISTED",
        FORBIDDEN,
        "the caller's organisation is not among the founders",
    )
    ROLE_FORBIDDEN = (
        "ROLE_FORBIDDEN",
        FORBIDDEN,
        "the caller's role in this kind of organisation may not do this",
    )

    MEMBER_NOT_LISTED = "MEMBER_NOT_LISTED", NOT_FOUND, "no organisation of this MSP id was ever a member"
    MEMBER_EXISTS = "MEMBER_EXISTS", CONFLICT, "an organisation of this MSP id is, or was, a member"
    MEMBER_STANDING = "MEMBER_STANDING", CONFLICT, "the member's standing does not permit this"
    LAST_OF_KIND = "LAST_OF_KIND", CONFLICT, "the consortium would be left without an active hospital or agency"
    CHANGE_VOID = "CHANGE_VOID", CONFLICT, "the proposal would change nothing"
    PROPOSAL_UNKNOWN = "PROPOSAL_UNKNOWN", NOT_FOUND, "there is no such proposal"
    PROPOSAL_EXISTS = "PROPOSAL_EXISTS", CONFLICT, "a proposal of this id exists already"
    PROPOSAL_DECIDED = "PROPOSAL_DECIDED", CONFLICT, "the proposal was enacted or rejected already"
    PROPOSAL_EXPIRED = "PROPOSAL_EXPIRED", CONFLICT, "the time for votes on the proposal is over"
    VOTE_CAST = "VOTE_CAST", CONFLICT, "the caller's organisation has voted already"
    VOTE_NOT_ELIGIBLE = "VOTE_NOT_ELIGIBLE", FORBIDDEN, "a member has no vote on its own suspension or removal"

    POLICY_INVALID = "POLICY_INVALID", BAD_REQUEST, "no such policy, or its value is outside what was agreed to"

    LICENCE_MISSING = "LICENCE_MISSING", FORBIDDEN, "the author or its hospital has no licence in force for this act"
    LICENCE_UNKNOWN = "LICENCE_UNKNOWN", NOT_FOUND, "nobody holds such a licence"
    LICENCE_STATUS = "LICENCE_STATUS", CONFLICT, "the licence is suspended already, or is not suspended"
    LICENCE_HOLDER = "LICENCE_HOLDER", BAD_REQUEST, "only hospitals and their practitioners are licensed"

    MESSAGE_MISSING = "MESSAGE_MISSING", BAD_REQUEST, "a required sealed message is missing or empty"
    MESSAGE_UNEXPECTED = (
        "MESSAGE_UNEXPECTED",
        BAD_REQUEST,
        "the transient data holds more than the required messages",
    )
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE", TOO_LARGE, "a sealed message is larger than 1 MiB"
    MESSAGE_UNKNOWN = "MESSAGE_UNKNOWN", NOT_FOUND, "there is no such sealed message, or it was purged"

    PATIENT_UNKNOWN = "PATIENT_UNKNOWN", NOT_FOUND, "no patient is registered under this pseudonym"
    PATIENT_EXISTS = "PATIENT_EXISTS", CONFLICT, "a patient is registered under this pseudonym already"
    PATIENT_ERASED = "PATIENT_ERASED", GONE, "the patient's records were erased"
    PATIENT_DECEASED = "PATIENT_DECEASED", FORBIDDEN, "the patient has died: its own identity does nothing any more"
    PATIENT_MERGED = "PATIENT_MERGED", CONFLICT, "the patient was merged into another pseudonym: add to that one"
    PATIENT_STATUS = "PATIENT_STATUS", CONFLICT, "the patient's status does not allow this change"
    NOT_THE_PATIENT = "NOT_THE_PATIENT", FORBIDDEN, "only this patient's own identity may do this"
    GUARDIAN_SCOPE = "GUARDIAN_SCOPE", FORBIDDEN, "the caller is no guardian of this patient now, or not for this"
    GUARDIAN_UNKNOWN = "GUARDIAN_UNKNOWN", NOT_FOUND, "the patient has no such guardian in office"
    GUARDIAN_EXISTS = "GUARDIAN_EXISTS", CONFLICT, "the patient has this guardian already"
    NOT_THE_CUSTODIAN = (
        "NOT_THE_CUSTODIAN",
        FORBIDDEN,
        "only the custodian's staff or the patient may do this",
    )
    CUSTODIAN_INVALID = "CUSTODIAN_INVALID", BAD_REQUEST, "custody passes to another hospital of the consortium only"
    CUSTODIAN_ACTIVE = (
        "CUSTODIAN_ACTIVE",
        FORBIDDEN,
        "the agency lists and moves patients of a suspended or removed hospital only",
    )
    TRANSFER_UNKNOWN = "TRANSFER_UNKNOWN", NOT_FOUND, "custody of the patient is not on offer, or not to the caller"
    TRANSFER_EXISTS = "TRANSFER_EXISTS", CONFLICT, "custody of the patient is on offer already"
    TRANSFER_STALE = "TRANSFER_STALE", CONFLICT, "the patient has newer keys than the offer: it must be made again"
    MERGE_UNKNOWN = "MERGE_UNKNOWN", NOT_FOUND, "nobody proposed this merge"
    MERGE_EXISTS = "MERGE_EXISTS", CONFLICT, "a merge of this patient is proposed already"
    MERGE_UNPROVEN = (
        "MERGE_UNPROVEN",
        FORBIDDEN,
        "both custodians must prove a merge, by two different users",
    )
    COMPARTMENT_UNKNOWN = "COMPARTMENT_UNKNOWN", NOT_FOUND, "the patient has no such compartment"
    COMPARTMENT_DUPLICATE = "COMPARTMENT_DUPLICATE", BAD_REQUEST, "a compartment is named twice"
    COMPARTMENT_LIMIT = "COMPARTMENT_LIMIT", CONFLICT, "the patient has as many compartments as there can be"
    COMPARTMENT_EXISTS = "COMPARTMENT_EXISTS", CONFLICT, "a compartment of this id exists already"

    ENVELOPE_MISSING = "ENVELOPE_MISSING", BAD_REQUEST, "a required key envelope is missing or empty"
    ENVELOPE_UNEXPECTED = (
        "ENVELOPE_UNEXPECTED",
        BAD_REQUEST,
        "the transient data holds more than the required envelopes",
    )
    ENVELOPE_TOO_LARGE = "ENVELOPE_TOO_LARGE", TOO_LARGE, "a key envelope is larger than 16 KiB"
    EPOCH_STALE = "EPOCH_STALE", CONFLICT, "the compartment is at another key epoch"
    EPOCH_WRONG = (
        "EPOCH_WRONG",
        CONFLICT,
        "the new epochs are not the next ones of exactly the compartments concerned",
    )

    REKEY_DUE = "REKEY_DUE", CONFLICT, "the compartment needs a new key before anything is written into it"
    REKEY_NOT_DUE = "REKEY_NOT_DUE", CONFLICT, "no compartment of the patient needs a new key: name some"

    RECORD_UNKNOWN = "RECORD_UNKNOWN", NOT_FOUND, "the patient has no record of this id"
    RECORD_DUPLICATE = "RECORD_DUPLICATE", BAD_REQUEST, "a record is named twice in one call"
    RECORD_OF_ANOTHER = "RECORD_OF_ANOTHER", FORBIDDEN, "a contributor amends only what its own organisation wrote"
    RECORD_ERASED = "RECORD_ERASED", GONE, "the record was erased"
    VERSION_CONFLICT = "VERSION_CONFLICT", CONFLICT, "the record's next version is another one"
    VERSION_STALE = "VERSION_STALE", CONFLICT, "the record has another version by now"
    BODY_MISSING = "BODY_MISSING", BAD_REQUEST, "a record's body is missing or empty"
    BODY_UNEXPECTED = "BODY_UNEXPECTED", BAD_REQUEST, "the transient data holds more than the records' bodies"
    BODY_TOO_LARGE = "BODY_TOO_LARGE", TOO_LARGE, "a record's body is larger than 1 MiB"
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE", TOO_LARGE, "the call concerns too much at once: split it"

    CONSENT_MISSING = "CONSENT_MISSING", FORBIDDEN, "no consent in force permits this"
    CONSENT_UNKNOWN = "CONSENT_UNKNOWN", NOT_FOUND, "the patient gave no such consent"
    CONSENT_EXISTS = "CONSENT_EXISTS", CONFLICT, "a consent of this id exists already"
    CONSENT_REVOKED = "CONSENT_REVOKED", CONFLICT, "the consent has been revoked already"
    ORDER_EXISTS = "ORDER_EXISTS", CONFLICT, "an order of this id exists already"
    GRANTEE_UNKNOWN = "GRANTEE_UNKNOWN", NOT_FOUND, "the grantee is not a member of the consortium"
    GRANTEE_IS_CUSTODIAN = "GRANTEE_IS_CUSTODIAN", BAD_REQUEST, "the custodian needs no consent"
    GRANTEE_ROLE = "GRANTEE_ROLE", BAD_REQUEST, "this kind of organisation has no staff of that role"
    GRANTEE_AMBIGUOUS = (
        "GRANTEE_AMBIGUOUS",
        BAD_REQUEST,
        "a consent is for a role or for a person, and only a permit for more than one person has exceptions",
    )
    PERIOD_INVALID = "PERIOD_INVALID", BAD_REQUEST, "the period is empty, over, or longer than permitted"
    PURPOSE_FORBIDDEN = "PURPOSE_FORBIDDEN", FORBIDDEN, "this role may not act for this purpose of use"

    SESSION_UNKNOWN = "SESSION_UNKNOWN", NOT_FOUND, "there is no such session for this patient"
    SESSION_EXISTS = "SESSION_EXISTS", CONFLICT, "a session of this id exists already"
    SESSION_OF_ANOTHER_USER = (
        "SESSION_OF_ANOTHER_USER",
        FORBIDDEN,
        "the session belongs to another user or role",
    )
    SESSION_ENDED = "SESSION_ENDED", FORBIDDEN, "the session has ended"
    SESSION_SCOPE = "SESSION_SCOPE", FORBIDDEN, "the record is outside the session's compartments"
    SESSION_FIXED = (
        "SESSION_FIXED",
        FORBIDDEN,
        "an emergency's session is not renewed; neither it nor a delegated one is delegated",
    )
    DISCLOSURE_MISSING = (
        "DISCLOSURE_MISSING",
        FORBIDDEN,
        "the session has not disclosed this version of the record on the ledger before",
    )

    EMERGENCY_UNKNOWN = "EMERGENCY_UNKNOWN", NOT_FOUND, "there is no such emergency for this patient"
    EMERGENCY_FORBIDDEN = (
        "EMERGENCY_FORBIDDEN",
        FORBIDDEN,
        "only the patient, its guardians, the custodian, agencies and the clinician's organisation may see this",
    )
    REVIEW_OVERDUE = "REVIEW_OVERDUE", FORBIDDEN, "a review of an earlier emergency of this clinician is overdue"
    REVIEW_DECIDED = "REVIEW_DECIDED", CONFLICT, "the emergency was reviewed already"
    REVIEW_FORBIDDEN = (
        "REVIEW_FORBIDDEN",
        FORBIDDEN,
        "only the custodian or an agency reviews, and never the clinician's own organisation",
    )

    COVERAGE_UNKNOWN = "COVERAGE_UNKNOWN", NOT_FOUND, "the patient has no such coverage"
    COVERAGE_EXISTS = "COVERAGE_EXISTS", CONFLICT, "a coverage of this id exists already"
    COVERAGE_OVER = "COVERAGE_OVER", CONFLICT, "the coverage is not in force for this time"
    AUTHORISATION_UNKNOWN = "AUTHORISATION_UNKNOWN", NOT_FOUND, "there is no such prior authorisation"
    AUTHORISATION_EXISTS = "AUTHORISATION_EXISTS", CONFLICT, "a prior authorisation of this id exists already"
    AUTHORISATION_ANSWERED = "AUTHORISATION_ANSWERED", CONFLICT, "the prior authorisation was answered already"
    AUTHORISATION_MISSING = (
        "AUTHORISATION_MISSING",
        FORBIDDEN,
        "the prior authorisation is not granted, or not to this hospital, coverage or time",
    )

    RECORD_NOT_OWN = "RECORD_NOT_OWN", FORBIDDEN, "this hospital neither wrote the record nor keeps it"
    ENCOUNTER_BOUND = "ENCOUNTER_BOUND", CONFLICT, "a secret was committed to for this encounter already"
    ENCOUNTER_UNBOUND = "ENCOUNTER_UNBOUND", CONFLICT, "this hospital committed to no secret for this encounter"
    BILLED_TWICE = "BILLED_TWICE", CONFLICT, "another claim bills this service already"
    PRIMARY_INVALID = (
        "PRIMARY_INVALID",
        CONFLICT,
        "the primary claim is not this hospital's, not adjudicated, or its coverage does not pay before this one",
    )
    FILING_LATE = "FILING_LATE", FORBIDDEN, "the time to file a claim for this encounter is over"

    CLAIM_UNKNOWN = "CLAIM_UNKNOWN", NOT_FOUND, "the patient has no such claim"
    CLAIM_EXISTS = "CLAIM_EXISTS", CONFLICT, "a claim of this id exists already"
    CLAIM_PARTY = "CLAIM_PARTY", FORBIDDEN, "only a party concerned may do this: hospital, payer, patient"
    CLAIM_LINES = "CLAIM_LINES", BAD_REQUEST, "these are not the claim's lines, each once"
    CLAIM_STATE = "CLAIM_STATE", CONFLICT, "the claim's state does not permit this step"
    CLAIM_DEADLINE = "CLAIM_DEADLINE", CONFLICT, "the time for this step is over, or has not come yet"
    CLAIM_KEPT = "CLAIM_KEPT", CONFLICT, "the claim has not ended, or must be kept for some time yet"
    CLAIM_PURGED = "CLAIM_PURGED", GONE, "the claim was kept for as long as agreed: its texts are gone"
    DECISION_INCOMPLETE = (
        "DECISION_INCOMPLETE",
        BAD_REQUEST,
        "what is paid has an amount, what is not paid in full has a reason",
    )
    DECISION_WORSE = "DECISION_WORSE", CONFLICT, "an appeal makes no line worse than it was"
    COMMITMENT_UNKNOWN = "COMMITMENT_UNKNOWN", NOT_FOUND, "the claim has no such commitment"

    REPORT_UNKNOWN = "REPORT_UNKNOWN", NOT_FOUND, "there is no such case report"
    REPORT_EXISTS = "REPORT_EXISTS", CONFLICT, "a report, follow-up or request of this id exists already"
    REPORT_ADDRESSEE = "REPORT_ADDRESSEE", BAD_REQUEST, "cases are reported to an active agency of the consortium"
    REPORT_TIME = "REPORT_TIME", BAD_REQUEST, "a case is not reported before it is known"
    REPORT_OF_ANOTHER = "REPORT_OF_ANOTHER", FORBIDDEN, "the report is another hospital's, or to another agency"
    REPORT_SEALED = "REPORT_SEALED", FORBIDDEN, "what is reported is sealed to the agency alone"
    REPORT_ACKNOWLEDGED = "REPORT_ACKNOWLEDGED", CONFLICT, "the agency confirmed the report already"
    REPORT_WITHDRAWN = "REPORT_WITHDRAWN", CONFLICT, "the report was withdrawn"
    REQUEST_UNKNOWN = "REQUEST_UNKNOWN", NOT_FOUND, "no such request of the agency waits for an answer"

    AGGREGATE_UNKNOWN = "AGGREGATE_UNKNOWN", NOT_FOUND, "no such table was published"
    AGGREGATE_EXISTS = "AGGREGATE_EXISTS", CONFLICT, "a table of this id was published already"
    AGGREGATE_SHAPE = (
        "AGGREGATE_SHAPE",
        BAD_REQUEST,
        "the table has another number of cells than its axes, a place twice, or too many places",
    )
    AGGREGATE_OF_ANOTHER = "AGGREGATE_OF_ANOTHER", FORBIDDEN, "only the agency that published a table traces it"
    CELL_SMALL = "CELL_SMALL", FORBIDDEN, "a count is smaller than the members agreed to publish: suppress it"
    CELL_DERIVABLE = (
        "CELL_DERIVABLE",
        FORBIDDEN,
        "a small count could be computed from this table and those published before: suppress more",
    )
    CELL_CONTRADICTS = (
        "CELL_CONTRADICTS",
        CONFLICT,
        "no counts fit both this table and those published before",
    )

    AUDIT_FORBIDDEN = (
        "AUDIT_FORBIDDEN",
        FORBIDDEN,
        "only the patient, its guardians and the custodian's administrator see the audit",
    )


def refusal(code: Code) -> Refusal:
    return Refusal(code.value, code.meaning, code.status)
