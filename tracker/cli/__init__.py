"""The command line. Each group is a module that is imported when one of its commands is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from tracker.cli.program import program


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``tracker``; ends the process with 0, 1 (something failed) or 2 (the call was wrong)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter
    try:
        try:
            program.main(args=None if arguments is None else list(arguments), prog_name="tracker")
        except SystemExit:
            sys.stdout.flush()  # a full disk is told here, not while the interpreter ends
            raise
    except OSError as error:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - what is still buffered goes there
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            what = error.filename or "The output"
            click.echo(f"Error: {what} cannot be written: {error.strerror or error}.", err=True)
        sys.exit(1)


__all__ = ["main", "program"]
