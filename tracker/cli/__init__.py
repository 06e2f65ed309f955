"""The command line. Each group is a module that is imported when one of its commands is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tracker.cli.program import program


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``tracker``; ends the process with 0, 1 (something failed) or 2 (the call was wrong)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter
    program.main(args=None if arguments is None else list(arguments), prog_name="tracker")


__all__ = ["main", "program"]
