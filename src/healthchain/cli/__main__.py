"""`python -m healthchain.cli`, where the program is not on the path."""

from __future__ import annotations

import sys

from healthchain.cli import main

sys.exit(main())
