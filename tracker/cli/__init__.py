"""The command line. A group is a module that is imported when one of its commands is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tracker.cli.program import program


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``tracker``; exits with 0, 1 (something failed) or 2 (the call was wrong)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # For a terminal that cannot show a letter.
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            program.main(args=None if arguments is None else list(arguments), prog_name="tracker")
        except SystemExit:
            # A full disk is reported here, not while the interpreter shuts down.
            sys.stdout.flush()
            raise
    except OSError as error:
        # What is still buffered must not be written once more.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            target = error.filename or "The output"
            click.echo(f"Error: {target} cannot be written: {error.strerror or error}.", err=True)
        sys.exit(1)


__all__ = ["main", "program"]
