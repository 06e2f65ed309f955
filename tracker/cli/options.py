"""Options and arguments that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tracker.errors import BadValue, nearest
from tracker.filters.names import (
    all_metric_names,
    experiments,
    policy_kinds,
    run_names,
    sort_keys,
)
from tracker.queries.resolve import names_like
from tracker.states import RunStatus
from tracker.storage.database import Reader, locate, reading

Command = TypeVar("Command", bound=Callable[..., Any])


def complete_runs(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Return the names of runs that begin with ``start``; none if the database cannot be read."""
    return _query(context, lambda reader: names_like(reader, start))


def complete_sort(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Return completions of the last sort key in ``start``, with its sign and the keys before it."""
    before, comma, last = start.rpartition(",")
    sign = "-" if last.startswith("-") else ""
    return [
        f"{before}{comma}{sign}{name}"
        for name in _fields(context)
        if name.startswith(last.removeprefix("-"))
    ]


def complete_where(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Return completions of the last word of a filter, with what stands before it.

    A word is a field; after ``status =``, ``experiment =`` and ``name =`` it is a text that there is, in quotes.
    """
    compared = _COMPARED.search(start)
    if compared is not None:
        before = start[: compared.start("text")].rstrip("'\"")
        texts = _query(context, _TEXTS[compared["field"]])
        return [f"{before}'{text}'" for text in texts if text.startswith(compared["text"])]
    word = start[_LAST_WORD.search(start).start() :]  # type: ignore[union-attr]
    before = start.removesuffix(word) if word else start
    return [f"{before}{name}" for name in _fields(context) if name.startswith(word)]


_LAST_WORD = re.compile(r"[^\s()<>=!,'\"]*$")
_COMPARED = re.compile(
    r"\b(?P<field>status|experiment|name)\s*(?:=|==|!=)\s*['\"]?(?P<text>[^'\"\s]*)$"
)
_TEXTS: dict[str, Callable[[Reader], list[str]]] = {
    "status": lambda reader: [str(status) for status in RunStatus],
    "experiment": experiments,
    "name": run_names,
}


def _fields(context: click.Context) -> list[str]:
    """Return the fields of the listing that a command shows."""
    group = context.parent.info_name if context.parent is not None else None
    listed = "" if context.info_name == "waste" else group or ""
    return _query(context, lambda reader: sort_keys(reader, listed))


def complete_metrics(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Return the names of metrics that begin with ``start``."""
    return [name for name in _query(context, all_metric_names) if name.startswith(start)]


def complete_policies(context: click.Context, parameter: click.Parameter, start: str) -> list[str]:
    """Return the class names of callbacks that begin with ``start``."""
    return [kind for kind in _query(context, policy_kinds) if kind.startswith(start)]


def complete_experiments(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[str]:
    """Return the names of experiments that begin with ``start``."""
    return [name for name in _query(context, experiments) if name.startswith(start)]


def _query(context: click.Context, query: Callable[[Reader], list[str]]) -> list[str]:
    try:
        with reading(context.params.get("database")) as reader:
            return query(reader)
    except Exception:
        # A completion that fails must not print into the prompt.
        return []


def database_option(command: Command) -> Command:
    """Add ``--database``, which must name an existing one."""
    return _database(command, _check_exists)


def new_database_option(command: Command) -> Command:
    """Add ``--database``, which may name one that does not exist yet."""
    return _database(command, None)


def _check_exists(
    context: click.Context, parameter: click.Parameter, named: str | None
) -> str | None:
    """Refuse a misspelt name, which would look like a database without runs."""
    if named is None:
        return None
    location = locate(named)
    path = location.path
    if path is not None and not location.exists() and not path.exists():
        hint = f"the folder {path.parent} does not exist."
        if path.parent.is_dir():
            others = sorted(file.name for file in path.parent.glob("*.db"))
            hint = nearest(path.name, others, what="databases in that folder:")
        raise BadValue(
            f"No database at {path}: {hint} One is created when a run starts, or by "
            f"tracker db upgrade."
        )
    return named


def _database(command: Command, check: Callable[..., str | None] | None) -> Command:
    return click.option(
        "--database",
        metavar="PATH|URL",
        is_eager=True,
        callback=check,
        help="The database: a file, a folder, or a URL such as postgresql://host/name. "
        "By default $TRACKER_DATABASE_URL, else .tracker/ here or in the nearest parent folder.",
    )(command)


_limit_option = click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    help="Show at most N rows; 0 for all.",
)


def where_option(help: str) -> Callable[[Command], Command]:
    """Return ``--where``, a filter, which completes its fields and values."""
    return click.option("--where", metavar="FILTER", shell_complete=complete_where, help=help)


def listing_options(command: Command) -> Command:
    """Add ``--where``, ``--sort``, ``-n``, ``--format`` and ``--database``."""
    for option in (
        database_option,
        format_option,
        _limit_option,
        click.option(
            "--sort",
            shell_complete=complete_sort,
            metavar="KEY[,KEY…]",
            help="A column, a metric (best first), last(METRIC), params.NAME … "
            "-KEY reverses it; KEY:asc and KEY:desc fix the direction.",
        ),
        where_option(
            "A condition such as \"val_loss < 0.3 and lr >= 1e-3 and status = 'finished' and "
            'started > today - 7d". A bare name is a column, a metric, or the one param or tag of that name.'
        ),
    ):
        command = option(command)
    return command


def names_options(command: Command) -> Command:
    """Add what `listing_options` adds, for a listing of names that runs have: its filter is one of runs."""
    for option in (
        database_option,
        format_option,
        _limit_option,
        click.option(
            "--sort", metavar="KEY[,KEY…]", help="A column of the listing; -KEY reverses it."
        ),
        where_option("Only of runs that match this filter."),
    ):
        command = option(command)
    return command


def format_option(command: Command) -> Command:
    """Add ``--format``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json"]),
        default="table",
        show_default=True,
        help="table is for people; csv and json have every column, full ids and exact values. "
        'In JSON, NaN is "NaN", infinities are "Infinity" and "-Infinity", a missing value is null.',
    )(command)


def children_option(command: Command) -> Command:
    """Add ``--children``."""
    return click.option(
        "--children", is_flag=True, help="Also the runs that were started with parent=RUN."
    )(command)


def runs_argument(*, required: bool = False) -> Callable[[Command], Command]:
    """Add the argument ``RUN…``: ids, unique prefixes of ids, names."""
    return click.argument(
        "names",
        metavar="RUN…" if required else "[RUN…]",
        nargs=-1,
        required=required,
        shell_complete=complete_runs,
    )


def run_argument(*, required: bool = True) -> Callable[[Command], Command]:
    """Add the argument ``RUN``."""
    return click.argument(
        "name",
        metavar="RUN" if required else "[RUN]",
        required=required,
        shell_complete=complete_runs,
    )


def require_runs(names: Sequence[str], where: str | None) -> None:
    """Refuse a call that says of no runs that they are meant: what changes something does not mean all of them.

    Raises:
        BadValue: there are neither names nor a filter.
    """
    if not names and where is None:
        raise BadValue("Name runs, or select them with --where.")
