"""`emergency` and `sessions` as the parties use them, one command after the other."""

from __future__ import annotations

from pathlib import Path

from .program import Program

WHO = ("--org", "city-clinic", "--patient")


def test_the_glass_is_broken_read_through_and_reviewed(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    why = folder.with_name("why.txt")
    why.write_text("Unconscious after a fall.")
    opened = program.done("emergency", "open", "--dir", folder, *WHO, patient, "--reason", why)
    one = ("--patient", patient, "--id", opened["emergency"], "--dir", folder)
    assert program.done("emergency", "read", *one, "--org", "city-clinic")["entry"] == []
    released = program.done("emergency", "release", "--dir", folder, "--org", "general-hospital")
    assert released == {"released": [opened["emergency"]]}
    assert program("emergency", "release", "--dir", folder, "--org", "general-hospital").stdout == (
        "no emergency waits for keys\n"
    )
    assert len(program.done("emergency", "read", *one, "--org", "city-clinic")["entry"]) == 3
    officer = ("--org", "health-agency", "--user", "health-officer")
    assert program("emergency", "reason", *one, *officer).stdout == "Unconscious after a fall.\n"
    (queued,) = program.done("emergency", "queue", "--dir", folder, *officer)["emergencies"]
    assert (queued["id"], queued["due_ms"]) == (opened["emergency"], opened["review_due_ms"])
    assert "review due at" in program("emergency", "queue", "--dir", folder, *officer).stdout
    program.done("emergency", "close", *one, "--org", "city-clinic")
    assert program.done("emergency", "review", *one, *officer, "--unjustified") == {"justified": False}
    again = program("emergency", "review", *one, *officer, "--justified")
    assert (again.status, again.stderr.split(":")[1].strip()) == (3, "REVIEW_DECIDED")
    assert program("emergency", "queue", "--dir", folder, *officer).stdout == "no emergencies\n"
    listing = ("emergency", "list", "--dir", folder, "--patient", patient)
    assert "unjustified" in program(*listing).stdout
    assert program(*listing, "--org", "general-hospital").stdout == program(*listing).stdout
    (listed,) = [
        one
        for one in program.done("sessions", "list", "--dir", folder, "--patient", patient)["sessions"]
        if one["emergency"]
    ]
    assert (listed["reads"], listed["purpose"]) == (3, "ETREAT")
    shown = program("sessions", "list", "--dir", folder, "--patient", patient).stdout.splitlines()
    assert any(line.startswith(opened["emergency"]) and line.endswith("emergency") for line in shown)


def test_a_reason_is_a_text_and_not_empty(program: Program, filled: tuple[Path, str]) -> None:
    folder, patient = filled
    why = folder.with_name("why.txt")
    for content in (b" \n", b"\xff\xfe"):
        why.write_bytes(content)
        ended = program("emergency", "open", "--dir", folder, *WHO, patient, "--reason", why)
        assert (ended.status, ended.stdout) == (2, "")
        assert ended.stderr.startswith("error: the reason is ")
