"""Options that many commands have, with one spelling and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from healthchain.config import Topology

Folder = Annotated[Path, typer.Option("--dir", help="The consortium's folder.", envvar="HEALTHCHAIN_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Org = Annotated[str, typer.Option("--org", help="The organisation that acts, as the topology names it.")]
Patient = Annotated[str, typer.Option("--patient", help="The patient's pseudonym.")]
PurposeOption = Annotated[str, typer.Option("--purpose", help="Purpose of use: TREAT, HPAYMT, HOPERAT, PATRQT, ...")]

# Of what a patient decides.
Purposes = Annotated[list[str], typer.Option("--purpose", help="Purpose of use; repeat for several.")]
Actions = Annotated[list[str], typer.Option("--action", help="read or contribute; repeat for both.")]
Compartments = Annotated[list[str] | None, typer.Option("--compartment", help="A compartment's name; default: all.")]
Days = Annotated[int, typer.Option("--days", min=1, max=3650, help="For how long.")]
Role = Annotated[str | None, typer.Option("--role", help="Only this role in the organisation.")]
Person = Annotated[str | None, typer.Option("--person", help="Only this person, by the certificate's common name.")]
Consents = Annotated[list[str] | None, typer.Option("--consent", help="Or one consent's id; repeat for several.")]


def toml_text(path: Path, what: str) -> str:
    """Raises BadInput."""
    from healthchain.errors import BadInput

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput(f"the {what} file cannot be read: give a TOML file") from None


def topology_of(path: Path | None) -> Topology:
    """The file's, or the demo's four members. Raises BadInput."""
    from healthchain.config import DEFAULT, read_topology

    return read_topology(toml_text(path, "topology")) if path else DEFAULT


def one_of(kind: Any, name: str, what: str) -> Any:
    """The member of an enumeration that an option names. Raises BadInput."""
    from healthchain.errors import BadInput

    try:
        return kind(name)
    except ValueError:
        raise BadInput(f"there is no such {what}: choose one of {', '.join(kind)}") from None
