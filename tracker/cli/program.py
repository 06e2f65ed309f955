"""The ``tracker`` command: its groups, loaded when needed, and how errors come out."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from tracker import __version__
from tracker.errors import TrackerError

_GROUPS = {
    "runs": ("tracker.cli.runs:runs", "List, show, compare and tidy runs."),
    "epochs": ("tracker.cli.epochs:epochs", "List epochs and their metrics."),
    "checkpoints": (
        "tracker.cli.checkpoints:checkpoints",
        "List, verify, restore, pin and prune saved files.",
    ),
    "decisions": ("tracker.cli.decisions:decisions", "List what callbacks decided, and why."),
    "export": ("tracker.cli.export:export", "Write what was recorded as CSV, JSON or Parquet."),
    "db": ("tracker.cli.db:db", "Look after the database."),
    "completion": ("tracker.cli.completion:completion", "Print the shell's completion script."),
}


class Group(click.Group):
    """A group whose errors of ours end as a sentence on stderr, with their exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a `TrackerError` becomes click's own kind."""
        try:
            return super().invoke(context)
        except TrackerError as error:
            raise (Misused if error.exit_code == 2 else Failed)(error) from error


class Failed(click.ClickException):
    """A `TrackerError`, for click to show; exit code 1."""

    def __init__(self, error: TrackerError) -> None:
        from tracker.cli.render import visible

        super().__init__("\n".join(map(visible, str(error).split("\n"))))


class Misused(Failed):
    """One that a corrected call helps against; exit code 2."""

    exit_code = 2


class LazyGroup(Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names, in the order in which they are explained."""
        return list(_GROUPS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in _GROUPS:
            return None
        module, _, attribute = _GROUPS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in _GROUPS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="tracker %(version)s")
def program() -> None:
    """Show what training runs recorded: epochs, checkpoints, decisions.

    \b
    Example:
      tracker runs list --sort val_loss -n 10
      tracker runs show digits-3
      tracker export digits-3 --csv -o digits-3.csv

    The database is --database, else TRACKER_DATABASE_URL, else the nearest .tracker/ upward.
    """
