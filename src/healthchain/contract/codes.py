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
    NOT_THE_PATIENT = "NOT_THE_PATIENT", FORBIDDEN, "only this patient's own identity may do this"
    GUARDIAN_SCOPE = "GUARDIAN_SCOPE", FORBIDDEN, "the caller is no guardian of this patient now, or not for this"
    NOT_THE_CUSTODIAN = (
        "NOT_THE_CUSTODIAN",
        FORBIDDEN,
        "only the custodian's staff or the patient may do this",
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

    AUDIT_FORBIDDEN = (
        "AUDIT_FORBIDDEN",
        FORBIDDEN,
        "only the patient and the custodian's administrator see the audit",
    )


def refusal(code: Code) -> Refusal:
    return Refusal(code.value, code.meaning, code.status)
