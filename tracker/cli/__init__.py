"""The command line. A group is a module that is imported when one of its commands is called."""

from tracker.cli.program import main, program

__all__ = ["main", "program"]
