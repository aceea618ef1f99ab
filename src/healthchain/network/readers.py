"""Who may read the channel: its blocks, its transactions and its events.

Fabric's policy Readers are all members. Here patients and their guardians are none of them, though each has an identity
of the organisation that enrolled it: blocks and events tell of every patient.
"""

from __future__ import annotations

from collections.abc import Mapping

from healthchain.chaincode.stub import PATIENT_ATTRIBUTE, PERSON_ROLES, ROLE_ATTRIBUTE


def may_read_channel(attributes: Mapping[str, str]) -> bool:
    """By the attributes in a valid identity's certificate."""
    return PATIENT_ATTRIBUTE not in attributes and attributes.get(ROLE_ATTRIBUTE) not in PERSON_ROLES
