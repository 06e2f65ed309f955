"""``tracker export``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import click

from tracker import exports
from tracker.cli.options import database_option, runs_argument, where_option
from tracker.cli.output import data_out
from tracker.cli.progress import Step, progress
from tracker.errors import BadValue
from tracker.exports import Stream
from tracker.queries import api as queries
from tracker.queries.epochs import csv_style
from tracker.queries.resolve import select_runs
from tracker.storage.database import reading

_FORMS = ("csv", "json", "parquet")
_OTHER_FORMS = (
    "arrow", "bz2", "db", "feather", "gz", "h5", "html", "jsonl", "ndjson", "ods", "pickle", "pkl", "sqlite", "tsv",
    "xls", "xlsx", "xml", "xz", "yaml", "yml", "zip", "zst",
)  # fmt: skip
"""Endings of formats that are not written: whoever opens such a file would not find what it is called."""


@click.command()
@runs_argument()
@click.option("--csv", is_flag=True, help="Comma-separated values (the default).")
@click.option("--json", is_flag=True, help="An array of objects.")
@click.option("--parquet", is_flag=True, help="Parquet; needs -o and pyarrow.")
@click.option("--format", "named", type=click.Choice(_FORMS), help="The same, as listings take it.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Write to this file, not to stdout (-). Unless a format is given, .json and .parquet say which.",
)  # fmt: skip
@click.option(
    "--what", type=click.Choice(exports.CONTENTS), default="epochs", show_default=True,
    help="What to export; metrics are the step metrics.",
)  # fmt: skip
@where_option("Only runs that match this filter.")
@click.option("--raw", is_flag=True, help="In CSV, leave text that begins with = + - @ as it is.")
@database_option
def export(
    names: tuple[str, ...],
    named: str | None,
    output: Path | None,
    what: str,
    where: str | None,
    raw: bool,
    database: str | None,
    **forms: bool,
) -> None:
    """Export what was recorded as CSV, JSON or Parquet.

    Without RUN, all runs are exported, oldest first. The epochs of a single RUN as CSV are what a
    CSVLogger writes of them, with Keras' empty val_ columns only if Keras trained it. Other epochs begin
    with columns of their run: name, id, experiment, status, tags and params. Step metrics, checkpoints
    and decisions begin with its name.

    \b
    Example:
      tracker export digits-3 --csv -o digits-3.csv
      tracker export --where "experiment = 'digits'" --parquet -o digits.parquet
    """
    output = None if output == Path("-") else output
    form = _form([form for form in _FORMS if forms[form] or form == named], output)
    if form == "parquet" and output is None:
        raise BadValue("Parquet is a binary format: name a file with -o FILE.")
    with reading(database) as reader:
        ids = select_runs(reader, names, where)
        if not names:
            # All runs come newest first.
            ids.reverse()
        if form == "csv" and what == "epochs" and len(names) == 1 and ids:
            from tracker.exports.csv import write_history_csv

            history, style = queries.history(reader, ids[0]), csv_style(reader, ids[0])
            write = partial(
                write_history_csv, history, padded=style.of_keras, types=style.types, raw=raw
            )
            _write_text(output, form, write)
            return
        stream = exports.stream_runs(reader, what, ids)
        with progress(f"Writing {output and output.name}", shown=output is not None) as track:
            _write(stream, form, output, raw, track(stream.steps))


def _form(given: list[str], output: Path | None) -> str:
    """Return the format that was asked for, else the one that the file is named after, else CSV."""
    if len(given) > 1:
        raise BadValue(f"--{' and --'.join(given)} exclude each other: give one of them.")
    ending = "" if output is None else output.suffix.lower().removeprefix(".")
    if not given and ending in _OTHER_FORMS:
        raise BadValue(
            f"-o {output}: .{ending} files are not written. Name a file that ends with .csv, .json or .parquet, or "
            f"say with --csv, --json or --parquet what this one is to hold."
        )
    return given[0] if given else ending if ending in _FORMS else "csv"


def _write(stream: Stream, form: str, output: Path | None, raw: bool, step: Step) -> None:
    if form == "parquet":
        from tracker.exports.parquet import write_parquet

        assert output is not None
        exports.save_whole(output, partial(write_parquet, stream, step=step))
    elif form == "json":
        from tracker.exports.json import write_json

        _write_text(output, form, partial(write_json, stream, step=step))
    else:
        from tracker.exports.csv import write_csv

        _write_text(output, form, partial(write_csv, stream, raw=raw, step=step))


def _write_text(output: Path | None, form: str, write: Callable[[IO[str]], object]) -> None:
    if output is None:
        write(data_out())
        return

    def write_to(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            write(file)

    exports.save_whole(output, write_to)
