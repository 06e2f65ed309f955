"""``tracker checkpoints``."""

from __future__ import annotations

from pathlib import Path

import click

from tracker import queries
from tracker.cli.format import size, visible
from tracker.cli.options import (
    complete_runs,
    database_option,
    format_option,
    listing_options,
    runs_argument,
)
from tracker.cli.program import Group
from tracker.cli.progress import progress
from tracker.cli.render import print_listing
from tracker.errors import BadValue, CheckpointError, counted
from tracker.queries import Column, Listing
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.resolve import select_runs
from tracker.storage.database import locate, reading

_HIDDEN = ("file", "attempt")
_BYTES_WITH_PROGRESS = 100_000_000
"""Bytes that take a while to read."""

_SPARE = ("sha256", "policy", "created", "step", "monitor", "bytes")
_VERIFIED_COLUMNS = (
    Column("run", "text"),
    Column("id", "text"),
    Column("epoch", "optional"),
    Column("state", "text"),
    Column("before", "text"),
    Column("bytes", "integer"),
    Column("path", "text"),
)


@click.group(cls=Group)
def checkpoints() -> None:
    """List, verify, restore, pin and prune saved files.

    \b
    Example:
      tracker checkpoints list digits-3
    """


@checkpoints.command("list")
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

    Without RUN, checkpoints of all runs are listed. In --where and --sort, a metric, params.NAME, tags.NAME
    and run.NAME are those of the run.

    \b
    Example:
      tracker checkpoints list digits-3 --where "state = 'available'" --sort value
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.checkpoints(reader, ids, where=where, order_by=sort, limit=limit or None)
    hidden = {*_HIDDEN, *(("run",) if ids is not None and len(ids) == 1 else ())}
    print_listing(listing, form, "checkpoints", hidden=hidden, spare=_SPARE)


# The id of a checkpoint, or the run whose best or last one is meant.
_WHICH = click.argument("which", metavar="CHECKPOINT|RUN", shell_complete=complete_runs)
_ALIAS = click.option(
    "--alias", type=click.Choice(["best", "last"]),
    help="For a RUN: which of its available checkpoints; by default the best, or the last if none was "
    "saved with a metric.",
)  # fmt: skip
_EPOCH = click.option(
    "--epoch", type=int, metavar="N", help="For a RUN: the checkpoint of epoch N."
)


@checkpoints.command()
@runs_argument()
@format_option
@database_option
def verify(names: tuple[str, ...], form: str, database: str | None) -> None:
    """Check size and SHA-256 of each file; exits with 1 if one is missing or modified.

    The result is recorded, so that listings show it. Without RUN, the files of all runs are checked.

    \b
    Example:
      tracker checkpoints verify digits-3
    """
    from tracker.maintenance.checkpoints import WITH_FILE
    from tracker.maintenance.checkpoints import verify as verify_files

    location = locate(database)
    with reading(location) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.checkpoints(reader, ids, states=WITH_FILE)
    total = sum(listing.cells("bytes"))
    with progress("Reading files", shown=total > _BYTES_WITH_PROGRESS) as track:
        results = verify_files(location, ids, step=track(total))
    rows = (
        {
            **result.checkpoint,
            "state": result.state,
            "before": result.checkpoint["state"] if result.changed else None,
        }
        for result in results
    )
    print_listing(Listing.from_dicts(_VERIFIED_COLUMNS, rows), form, "checkpoints")
    wrong = [result for result in results if result.state != "available"]
    if wrong:
        differ = "is not as it was" if len(wrong) == 1 else "are not as they were"
        raise CheckpointError(
            f"{len(wrong)} of {counted(len(results), 'file')} {differ} saved: "
            + ", ".join(f"{result.checkpoint['path']} is {result.state}" for result in wrong[:5])
            + (" …" if len(wrong) > 5 else ".")
        )


@checkpoints.command()
@_WHICH
@_ALIAS
@_EPOCH
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(),
    help="The file or folder to copy to; by default the working directory.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing file.")
@database_option
def restore(
    which: str,
    alias: str | None,
    epoch: int | None,
    output: Path,
    force: bool,
    database: str | None,
) -> None:
    """Copy the file of a checkpoint, after checking its hash.

    \b
    Example:
      tracker checkpoints restore digits-3 --alias best -o best.keras
    """
    from tracker.maintenance.checkpoints import restore as restore_file

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, alias=alias, epoch=epoch)
    file = restore_file(checkpoint, output, replace=force)
    click.echo(
        f"{visible(str(file.path))}: {size(file.bytes)}, epoch {checkpoint['epoch']} of "
        f"{visible(checkpoint['run'])}."
    )


@checkpoints.command()
@_WHICH
@_ALIAS
@_EPOCH
@click.option("--undo", is_flag=True, help="Remove the pin.")
@database_option
def pin(which: str, alias: str | None, epoch: int | None, undo: bool, database: str | None) -> None:
    """Pin a checkpoint: neither callbacks nor prune will delete its file.

    \b
    Example:
      tracker checkpoints pin digits-3 --alias best
    """
    from tracker.maintenance.checkpoints import pin as set_pin

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, alias=alias, epoch=epoch)
    set_pin(locate(database), [checkpoint["id"]], pinned=not undo)
    state = "is not pinned any more" if undo else "is pinned"
    click.echo(f"{visible(checkpoint['path'])} {state}.")


@checkpoints.command()
@runs_argument()
@click.option(
    "--where",
    metavar="FILTER",
    help="Only files of runs that match this filter.",
)
@click.option(
    "--keep", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
    help="Also keep the N newest files.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@database_option
def prune(
    names: tuple[str, ...], where: str | None, keep: int, dry_run: bool, yes: bool,
    database: str | None,
) -> None:  # fmt: skip
    """Delete checkpoint files, except the best, the last and pinned ones.

    A file that has changed since it was recorded is left alone.

    \b
    Example:
      tracker checkpoints prune digits-3 --keep 2 --dry-run
    """
    from tracker.maintenance import checkpoints

    if not names and where is None:
        raise BadValue("Name runs, or select them with --where.")
    location = locate(database)
    with reading(location) as reader:
        ids = select_runs(reader, names, where)
    plans = [checkpoints.plan_pruning(location, run, keep) for run in ids]
    files = [file for plan in plans for file in plan.going]
    for file in files:
        click.echo(f"{'would delete' if dry_run else 'to delete'}: {visible(str(file.path))}")
    amount = f"{counted(len(files), 'file')}, {size(sum(file.bytes for file in files))}"
    if dry_run or not files:
        click.echo(f"{amount} to delete.")
        return
    if not yes:
        click.confirm(f"Delete {amount}?", abort=True, err=True)
    results = [checkpoints.prune(location, plan) for plan in plans if plan.going]
    deleted = [file for files, _ in results for file in files]
    total = size(sum(file.bytes for file in deleted))
    click.echo(f"{counted(len(deleted), 'file')}, {total} deleted.")
    for path, why in (pair for _, refused in results for pair in refused.items()):
        click.echo(f"Kept {visible(str(path))}: {why}.")
