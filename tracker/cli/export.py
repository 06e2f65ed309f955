"""``tracker export``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click

from tracker import exports, queries
from tracker.cli.options import database_option, runs_argument
from tracker.cli.progress import Step, progress
from tracker.cli.render import data_out
from tracker.errors import BadValue
from tracker.queries.resolve import select_runs
from tracker.storage.database import Reader, reading


@click.command()
@runs_argument()
@click.option("--csv", is_flag=True, help="Comma-separated (default).")
@click.option("--json", is_flag=True, help="An array of objects.")
@click.option("--parquet", is_flag=True, help="Parquet; needs -o and pyarrow.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; else the screen.")
@click.option(
    "--what", type=click.Choice(exports.WHATS), default="epochs", show_default=True,
    help="What is written; metrics are the step metrics.",
)  # fmt: skip
@click.option("--where", metavar="FILTER", help="Of the runs, those that this filter leaves.")
@click.option("--raw", is_flag=True, help="In CSV, leave text that begins with = + - @ as it is.")
@database_option
def export(
    names: tuple[str, ...],
    output: Path | None,
    what: str,
    where: str | None,
    raw: bool,
    database: str | None,
    **forms: bool,
) -> None:
    """Write what was recorded of runs; without RUN, of all of them.

    The epochs of one run as CSV are, cell for cell, what Keras' CSVLogger writes for that fit. Other
    epochs have the run's columns in front: its name, id, experiment, status, tags and params. Step
    metrics, checkpoints and decisions have its name.

    \b
    Example:
      tracker export digits-3 --csv -o digits-3.csv
      tracker export --where "experiment = 'digits'" --parquet -o digits.parquet
    """
    form = _form(forms)
    if form == "parquet" and output is None:
        raise BadValue("Parquet is no text: name a file with -o FILE.")
    with reading(database) as reader:
        ids = select_runs(reader, names, where)[:: 1 if names else -1]
        if form == "csv" and what == "epochs" and len(names) == 1 and ids:
            history = queries.history(reader, ids[0])
            _write(output, form, lambda file: _keras(history, file, raw))
            return
        with progress(f"Writing {output and output.name}", shown=output is not None) as track:
            _export(reader, what, ids, form, output, raw, track)


def _form(forms: dict[str, bool]) -> str:
    given = [form for form in ("csv", "json", "parquet") if forms[form]]
    if len(given) > 1:
        raise BadValue(f"--{' and --'.join(given)} exclude each other: give one of them.")
    return given[0] if given else "csv"


def _export(
    reader: Reader,
    what: str,
    ids: list[str],
    form: str,
    output: Path | None,
    raw: bool,
    track: Callable[[int], Step],
) -> None:
    stream = exports.stream(reader, what, ids)
    step = track(stream.steps)
    if form == "parquet":
        from tracker.exports.parquet import write_parquet

        assert output is not None
        exports.saved(output, lambda path: write_parquet(stream, path, step=step))
    elif form == "json":
        from tracker.exports.json import write_json

        _write(output, form, lambda file: write_json(stream, file, step=step))
    else:
        from tracker.exports.csv import write_csv

        _write(output, form, lambda file: write_csv(stream, file, raw=raw, step=step))


def _keras(history: list[dict[str, Any]], file: IO[str], raw: bool) -> None:
    from tracker.exports.csv import write_keras_csv

    write_keras_csv(history, file, raw=raw)


def _write(output: Path | None, form: str, write: Callable[[IO[str]], object]) -> None:
    if output is None:
        write(sys.stdout if form == "json" else data_out())
        return

    def to(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            write(file)

    exports.saved(output, to)
