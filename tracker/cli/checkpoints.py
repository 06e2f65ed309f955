"""``tracker checkpoints``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracker.cli.chosen_checkpoint import ALIAS, EPOCH, PLACE, WHICH, chosen
from tracker.cli.format import parameter, size, visible
from tracker.cli.options import (
    database_option,
    format_option,
    listing_options,
    runs_argument,
)
from tracker.cli.output import data_out, on_terminal, say
from tracker.cli.program import LazyGroup
from tracker.cli.progress import progress
from tracker.cli.render import print_data, print_facts, print_listing
from tracker.errors import CheckpointError, counted
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.result import Column, Listing
from tracker.states import CheckpointState
from tracker.storage.database import locate, reading

if TYPE_CHECKING:
    from tracker.maintenance.checkpoints import Verified

_HIDDEN = ("file", "attempt")
_BYTES_WITH_PROGRESS = 100_000_000
"""Bytes that take a while to read."""

_SPARE = ("sha256", "remote", "policy", "created", "step", "monitor", "kept", "frees", "bytes")
_VERIFIED_COLUMNS = (
    Column("run", "text"),
    Column("id", "text"),
    Column("epoch", "optional"),
    Column("state", "text"),
    Column("before", "text"),
    Column("copy", "text"),
    Column("signature", "text"),
    Column("bytes", "integer"),
    Column("path", "text"),
)


_PLACES = {
    **{
        name: f"tracker.cli.checkpoints:{name}"
        for name in ("show", "provenance", "totals", "verify", "restore")
    },
    **{
        name: f"tracker.cli.checkpoints_edit:{name}"
        for name in ("pin", "prune", "gc", "adopt", "relocate", "upload", "sign")
    },
}


@click.group(cls=LazyGroup, places={"list": "tracker.cli.checkpoints:list_", **_PLACES})
def checkpoints() -> None:
    """List, verify, restore, pin, prune, upload, sign and adopt saved files.

    \b
    Example:
      tracker checkpoints list digits-3
    """


@click.command("list")
@runs_argument()
@listing_options
def list_(
    names: tuple[str, ...],
    where: str | None,
    sort: str | None,
    limit: int | None,
    form: str,
    database: str | None,
) -> None:
    """List checkpoints: state, metric, path, and which is the best and the last.

    Without RUN, checkpoints of all runs are listed. A file that a later run has replaced is in the store:
    "kept" says by which rule. "frees" is what prune would free by deleting it. In --where and --sort, a metric,
    params.NAME, tags.NAME and run.NAME are those of the run.

    \b
    Example:
      tracker checkpoints list digits-3 --where "state = 'available'" --sort value
    """
    with reading(database) as reader:
        ids = queries.runs_or_all(reader, names)
        listing = queries.checkpoints(reader, ids, where=where, order_by=sort, limit=limit or None)
    hidden = {*_HIDDEN, *(("run",) if ids is not None and len(ids) == 1 else ())}
    print_listing(listing, form, "checkpoints", hidden=hidden, spare=_SPARE)
    if form == "table" and listing.rows and on_terminal():
        say(_footer(listing))


def _footer(listing: Listing) -> str:
    """Say what the files take, and what pruning would free."""
    available = [row for row in listing.dicts() if row["state"] == CheckpointState.AVAILABLE]
    total = sum(row["bytes"] for row in available)
    free = [row["frees"] for row in available if row["frees"] is not None]
    amount = f"{counted(len(available), 'available file')}, {size(total)}"
    return f"{amount}; prune would free {size(sum(free))} ({counted(len(free), 'file')})."


@click.command()
@format_option
@database_option
def totals(form: str, database: str | None) -> None:
    """Show how many files each experiment has, what they take, and what pruning would free.

    \b
    Example:
      tracker checkpoints totals
    """
    from tracker.queries.checkpoint_totals import checkpoint_totals

    with reading(database) as reader:
        listing = checkpoint_totals(reader)
    print_listing(listing, form, "checkpoints")


@click.command()
@WHICH
@PLACE
@ALIAS
@EPOCH
@format_option
@database_option
def show(
    which: str,
    place: str | None,
    alias: str | None,
    epoch: int | None,
    form: str,
    database: str | None,
) -> None:
    """Show where a checkpoint comes from: run, epoch, metrics, git state, parents.

    \b
    Example:
      tracker checkpoints show digits-3 best
    """
    from tracker.queries.provenance import provenance as provenance_of

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, **chosen(place, alias, epoch))
        facts = provenance_of(reader, checkpoint)
    if form != "table":
        columns = tuple(Column(name, "any") for name in facts)
        print_data(Listing(columns, [list(facts.values())]), form)
        return
    facts["pinned"] = "yes" if facts["pinned"] else "no"
    print_facts(
        pair for name, value in facts.items() for pair in _flat(name.replace("_", " "), value)
    )


@click.command()
@WHICH
@PLACE
@ALIAS
@EPOCH
@database_option
def provenance(
    which: str, place: str | None, alias: str | None, epoch: int | None, database: str | None
) -> None:
    """Print where a checkpoint comes from as an in-toto statement with SLSA provenance, in JSON.

    It names the file by its hash, the command and params, the commit, and the files that it was trained
    from. It is not signed.

    \b
    Example:
      tracker checkpoints provenance digits-3 best
    """
    from tracker.queries.attestation import statement

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, **chosen(place, alias, epoch))
        made = statement(reader, checkpoint)
    print(json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False), file=data_out())


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield a fact as name and text, nested ones one by one."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _flat(f"{name}.{key}", one)
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for one in value:
            yield from _flat(name, one)
    elif value is not None and value != []:
        text = f"{size(value)} ({value:,} bytes)" if name == "bytes" else parameter(value)
        yield name, text


@click.command()
@runs_argument()
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="How many files are read at the same time; by default one per core.",
)  # fmt: skip
@click.option("--remote", is_flag=True, help="Read the copies in remote folders, too.")
@click.option(
    "--key", type=click.Path(path_type=Path), metavar="PUBLIC.PEM",
    help="Check the signature beside each file by this public key; one without a signature counts as wrong.",
)  # fmt: skip
@format_option
@database_option
def verify(
    names: tuple[str, ...], jobs: int | None, remote: bool, key: Path | None, form: str,
    database: str | None,
) -> None:  # fmt: skip
    """Check size and SHA-256 of each file; exits with 1 if one is missing or modified.

    The result is recorded, so that listings show it. Without RUN, the files of all runs are checked. Of a
    file that is not as it was, the copy in a remote folder is read: it counts as well, where it is whole.

    \b
    Example:
      tracker checkpoints verify digits-3
    """
    from tracker.maintenance.checkpoints import WITH_FILE
    from tracker.maintenance.checkpoints import verify as verify_files

    location = locate(database)
    with reading(location) as reader:
        ids = queries.runs_or_all(reader, names)
        listing = queries.checkpoints(reader, ids, states=WITH_FILE)
    total = sum(listing.cells("bytes"))
    with progress("Reading files", shown=total > _BYTES_WITH_PROGRESS) as track:
        results = verify_files(location, ids, jobs=jobs, remote=remote, key=key, step=track(total))
    rows = (
        {
            **result.checkpoint,
            "state": result.state,
            "before": result.checkpoint["state"] if result.changed else None,
            "copy": result.copy,
            "signature": result.signature,
        }
        for result in results
    )
    print_listing(Listing.from_dicts(_VERIFIED_COLUMNS, rows), form, "checkpoints")
    wrong = [result for result in results if not result.is_safe]
    if wrong:
        differ = "is not as it was" if len(wrong) == 1 else "are not as they were"
        raise CheckpointError(
            f"{len(wrong)} of {counted(len(results), 'file')} {differ} saved: "
            + ", ".join(f"{result.checkpoint['path']} is {_found(result)}" for result in wrong[:5])
            + (" …" if len(wrong) > 5 else ".")
        )


def _found(result: Verified) -> str:
    """Return what is wrong with a checkpoint's file, with its copy or with its signature."""
    found = result.state if result.copy is None else f"{result.state} (its copy is {result.copy})"
    if result.signature in (None, "valid"):
        return found
    return f"{found} (signature: {result.signature})"


@click.command()
@WHICH
@PLACE
@ALIAS
@EPOCH
@click.option(
    "-o", "--output", "--to", "output", type=click.Path(path_type=Path), default=Path(),
    help="The file or folder to copy to; by default the working directory.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing file.")
@database_option
def restore(
    which: str,
    place: str | None,
    alias: str | None,
    epoch: int | None,
    output: Path,
    force: bool,
    database: str | None,
) -> None:
    """Copy the file of a checkpoint, after checking its hash.

    Also one whose name a later run has taken, if it is the best of its experiment or pinned. Where the file
    is gone or changed, a copy in a remote folder is fetched.

    \b
    Example:
      tracker checkpoints restore digits-3 best --to best.keras
    """
    from tracker.checkpointing.copies import copies_of_one
    from tracker.maintenance.checkpoints import restore as restore_file

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, **chosen(place, alias, epoch))
        copies = copies_of_one(reader.connection, checkpoint["id"])
    file = restore_file(checkpoint, output, replace=force, copies=copies)
    say(
        f"{visible(str(file.path))}: {size(file.bytes)}, epoch {checkpoint['epoch']} of "
        f"{visible(checkpoint['run'])}."
    )
