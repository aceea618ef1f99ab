"""Options that many commands have, with one spelling and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("--dir", help="The consortium's folder.", envvar="HEALTHCHAIN_DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Org = Annotated[str, typer.Option("--org", help="The organisation that acts, as the topology names it.")]
Patient = Annotated[str, typer.Option("--patient", help="The patient's pseudonym.")]
PurposeOption = Annotated[str, typer.Option("--purpose", help="Purpose of use: TREAT, HPAYMT, HOPERAT, PATRQT, ...")]
