"""The ``tracker`` command: its groups, loaded when they are needed, and how errors are reported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tracker import __version__
from tracker.errors import TrackerError, alike, nearest, suggestion

_GROUPS = {
    "runs": ("tracker.cli.runs:runs", "List, show, compare and edit runs."),
    "epochs": ("tracker.cli.epochs:epochs", "List epochs and their metrics."),
    "metrics": ("tracker.cli.metrics:metrics", "List the metrics that were logged."),
    "params": ("tracker.cli.params:params", "List the params of runs, and their values."),
    "checkpoints": (
        "tracker.cli.checkpoints:checkpoints",
        "List, verify, restore, pin, prune, upload, sign and adopt saved files.",
    ),
    "decisions": (
        "tracker.cli.decisions:decisions",
        "List what callbacks decided, and why; replay them.",
    ),
    "ui": ("tracker.cli.ui:ui", "Show runs on a page in the browser, live."),
    "plot": (
        "tracker.cli.plot:plot",
        "Draw metrics of runs: on the terminal, or into a picture with -o.",
    ),
    "export": ("tracker.cli.export:export", "Export what was recorded as CSV, JSON or Parquet."),
    "db": ("tracker.cli.db:db", "Inspect, upgrade, back up and repair the database."),
    "completion": (
        "tracker.cli.completion:completion",
        "Print a script that completes commands, options and run names.",
    ),
}

_WHOLE = 1000
"""Characters of a summary that is not cut."""


class _Help(click.HelpFormatter):
    """Help and usage, in the letters that the terminal has."""

    def getvalue(self) -> str:
        """Return what was written."""
        text = super().getvalue()
        if text.isascii():
            return text
        from tracker.cli.output import showable, shows_unicode

        return text if shows_unicode() else showable(text.replace("…", "..."))


class _Context(click.Context):
    formatter_class = _Help


class Group(click.Group):
    """A group that reports a `TrackerError` as a sentence on stderr, with its exit code."""

    context_class = _Context

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command, which explains itself as groups do."""
        command = self.find(context, name)
        if command is not None:
            command.context_class = _Context
        return command

    def find(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command as it was made."""
        return super().get_command(context, name)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named first; a misspelt one is answered with those it may be."""
        name = arguments[0]
        if context.resilient_parsing or self.get_command(context, name) is not None:
            return super().resolve_command(context, arguments)
        raise click.UsageError(
            f"There is no command {name!r}: {self._meant(context, name)}", context
        )

    def _meant(self, context: click.Context, name: str) -> str:
        """End a sentence with the commands that ``name`` may mean, also those of groups."""
        if name == "help":
            return suggestion([f"{context.command_path} --help"])
        paths: dict[str, list[str]] = {}
        for path, _ in self._tree(context):
            paths.setdefault(path[-1], []).append(" ".join(path))
        if close := alike(name, paths):
            return suggestion(paths[close[0]][:3])
        return nearest(name, self.list_commands(context), most=20)

    def _tree(self, context: click.Context) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        """Give each command below this group, with its path."""
        for name in self.list_commands(context):
            command = self.get_command(context, name)
            if command is None:
                continue
            yield (name,), command
            if isinstance(command, Group):
                for path, below in command._tree(context):
                    yield (name, *path), below

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Read the options of the group; one of its commands is told where it belongs."""
        # What is parsed is taken out of the list.
        given = tuple(arguments)
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            paths = [
                path
                for path, command in self._tree(context)
                if any(error.option_name in parameter.opts for parameter in command.params)
            ]
            if paths:
                meant = max(paths, key=lambda path: len({*path} & {*given}))
                called = f"{context.command_path} {' '.join(meant)} {error.option_name}"
                raise click.UsageError(
                    f"{error.option_name} comes after the command: {called} …", context
                ) from error
            raise

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a `TrackerError` becomes a `click.ClickException`."""
        try:
            return super().invoke(context)
        except TrackerError as error:
            raise (Misused if error.exit_code == 2 else Failed)(error) from error

    def summaries(self, context: click.Context) -> list[tuple[str, str]]:
        """Return each command with the first sentence of its help."""
        return [
            (name, command.get_short_help_str(limit=_WHOLE))
            for name in self.list_commands(context)
            if (command := self.get_command(context, name)) is not None
        ]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; click would cut the summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries(context))


class Failed(click.ClickException):
    """A `TrackerError` as click reports it; exit code 1."""

    def __init__(self, error: TrackerError) -> None:
        from tracker.cli.format import visible

        super().__init__("\n".join(map(visible, str(error).split("\n"))))

    def show(self, file: Any = None) -> None:
        """Print the error on standard error; a terminal gets it folded at words."""
        from tracker.cli.output import say

        lines = f"Error: {self.format_message()}".split("\n")
        if lines[-1].strip() == "^":
            lines[-1] = _caret(lines[-2], lines[-1].index("^"))
        say("\n".join(lines), err=True)


def _caret(line: str, at: int) -> str:
    """Return a caret below a letter of a line, where letters may take two cells, or be shown as escapes."""
    from tracker.cli.measure import cells_wide
    from tracker.cli.output import showable

    return " " * cells_wide(showable(line[:at])) + "^"


class Misused(Failed):
    """An error that a corrected call avoids; exit code 2."""

    exit_code = 2


class LazyGroup(Group):
    """A group that imports a subcommand when it is used.

    Args:
        places: where each one is, as ``module:attribute``, in the order in which they are explained.
        summaries: of those that are explained without being imported.
    """

    def __init__(
        self,
        *arguments: Any,
        places: Mapping[str, str],
        summaries: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._places, self._summaries = places, summaries or {}

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names, in the order in which they are explained."""
        return list(self._places)

    def find(self, context: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in self._places:
            return None
        module, _, attribute = self._places[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def summaries(self, context: click.Context) -> list[tuple[str, str]]:
        """Return each command and its summary."""
        return list(self._summaries.items()) or super().summaries(context)


@click.group(
    cls=LazyGroup,
    places={name: place for name, (place, _) in _GROUPS.items()},
    summaries={name: summary for name, (_, summary) in _GROUPS.items()},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="tracker %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Show what training runs recorded: epochs, checkpoints, decisions.

    Without COMMAND: where the database is, what is running now, and the latest runs.

    \b
    Example:
      tracker runs list --sort val_loss -n 10
      tracker runs show digits-3
      tracker export digits-3 --csv -o digits-3.csv

    The database is --database, else TRACKER_DATABASE_URL, else .tracker/ here or in the nearest parent folder.
    """
    if context.invoked_subcommand is None:
        # By name, as the groups are: what it prints is made of their modules, which import this one.
        import_module("tracker.cli.home").print_home()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``tracker``; exits with 0, 1 (something failed) or 2 (the call was wrong)."""
    _open_closed_streams()
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


def _open_closed_streams() -> None:
    """Let what is printed to a stream that the caller has closed, such as by ``>&-``, go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - open until the process ends
