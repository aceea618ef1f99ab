"""What a contract is called with is refused by a code, whatever bytes it is."""

from __future__ import annotations

from typing import cast

import pytest

from healthchain.chaincode.stub import Stub
from healthchain.contract.ehr import CONTRACT

BAD_REQUEST = 400
NOTHING_IS_ASKED_OF_IT = cast(Stub, None)


@pytest.mark.parametrize(
    "arguments",
    [b"", b"{", b"\xff", b'{"patient":"\xff"}', b'{"\xff":1}', b'{"patient":"\\ud800"}', b"[" * 100_000],
    ids=lambda one: repr(one[:20]),
)
def test_arguments_that_are_no_json_are_refused(arguments: bytes) -> None:
    for name in (b"governance:Vote", b"records:Write", b"audit:List"):
        response = CONTRACT.invoke(NOTHING_IS_ASKED_OF_IT, [name, arguments])
        assert (response.status, response.message.split(":")[0]) == (BAD_REQUEST, "ARGUMENTS_INVALID")
