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
_LONG = 100_000_000  # bytes that take a while to read
_VERIFIED = (
    Column("run", "text"), Column("id", "text"), Column("epoch", "optional"), Column("state", "text"),
    Column("before", "text"), Column("bytes", "integer"), Column("path", "text"),
)  # fmt: skip
_SPARE = ("sha256", "policy", "created", "step", "monitor", "bytes")


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
    """List checkpoints: which is the best and the last, what it was saved for, and where it is.

    A filter leaves checkpoints; in it a metric, params.NAME, tags.NAME and run.NAME are those of the run.

    \b
    Example:
      tracker checkpoints list digits-3 --where "state = 'available'" --sort value
    """
    with reading(database) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.checkpoints(reader, ids, where=where, order_by=sort, limit=limit or None)
    hidden = {*_HIDDEN, *(("run",) if ids is not None and len(ids) == 1 else ())}
    print_listing(listing, form, "checkpoints", hidden=hidden, spare=_SPARE)


_WHICH = click.argument(
    "which", metavar="CHECKPOINT|RUN", shell_complete=complete_runs
)  # an id, or the run whose best or last one is meant
_ALIAS = click.option(
    "--alias", type=click.Choice(["best", "last"]),
    help="Of a RUN: which of its available checkpoints; by default the best, or the last where none "
    "was saved with a metric's value.",
)  # fmt: skip
_EPOCH = click.option("--epoch", type=int, metavar="N", help="Of a RUN: that of epoch N.")


@checkpoints.command()
@runs_argument()
@format_option
@database_option
def verify(names: tuple[str, ...], form: str, database: str | None) -> None:
    """Read every file and compare size and SHA-256; ends with 1 when one is missing or modified.

    What is found is recorded, so that lists show it. Without RUN it is every run's files.

    \b
    Example:
      tracker checkpoints verify digits-3
    """
    from tracker.maintenance.checkpoints import WITH_FILE
    from tracker.maintenance.checkpoints import verify as verified

    location = locate(database)
    with reading(location) as reader:
        ids = queries.find_runs(reader, names) if names else None
        listing = queries.checkpoints(reader, ids, states=WITH_FILE)
    total = sum(listing.cells("bytes"))
    with progress("Reading files", shown=total > _LONG) as track:
        found = verified(location, ids, step=track(total))
    rows = (
        {
            **one.checkpoint,
            "state": one.state,
            "before": one.checkpoint["state"] if one.changed else None,
        }
        for one in found
    )
    print_listing(Listing.from_dicts(_VERIFIED, rows), form, "checkpoints")
    wrong = [one for one in found if one.state != "available"]
    if wrong:
        raise CheckpointError(
            f"{len(wrong)} of {counted(len(found), 'file')} {_are(len(wrong))} saved: "
            + ", ".join(f"{one.checkpoint['path']} is {one.state}" for one in wrong[:5])
            + (" …" if len(wrong) > 5 else ".")
        )


@checkpoints.command()
@_WHICH
@_ALIAS
@_EPOCH
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path(),
    help="A file or folder; the working directory by default.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@database_option
def restore(
    which: str,
    alias: str | None,
    epoch: int | None,
    output: Path,
    force: bool,
    database: str | None,
) -> None:
    """Copy a checkpoint's file to another place, after its hash was checked.

    \b
    Example:
      tracker checkpoints restore digits-3 --alias best -o best.keras
    """
    from tracker.maintenance.checkpoints import restore as restored

    with reading(database) as reader:
        chosen = find_checkpoint(reader, which, alias=alias, epoch=epoch)
    file = restored(chosen, output, replace=force)
    click.echo(
        f"{visible(str(file.path))}: {size(file.bytes)}, epoch {chosen['epoch']} of "
        f"{visible(chosen['run'])}."
    )


@checkpoints.command()
@_WHICH
@_ALIAS
@_EPOCH
@click.option("--undo", is_flag=True, help="Take the pin away.")
@database_option
def pin(which: str, alias: str | None, epoch: int | None, undo: bool, database: str | None) -> None:
    """Keep a checkpoint for good: neither callbacks nor prune will delete its file.

    \b
    Example:
      tracker checkpoints pin digits-3 --alias best
    """
    from tracker.maintenance.checkpoints import pin as pinned

    with reading(database) as reader:
        chosen = find_checkpoint(reader, which, alias=alias, epoch=epoch)
    pinned(locate(database), [chosen["id"]], pinned=not undo)
    said = "is pinned no more" if undo else "is pinned"
    click.echo(f"{visible(chosen['path'])} {said}.")


@checkpoints.command()
@runs_argument()
@click.option(
    "--where",
    metavar="FILTER",
    help="Of the runs, those that this filter leaves; not of their files.",
)
@click.option(
    "--keep", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
    help="Keep the N newest besides best, last and pinned ones.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@database_option
def prune(
    names: tuple[str, ...], where: str | None, keep: int, dry_run: bool, yes: bool,
    database: str | None,
) -> None:  # fmt: skip
    """Delete files that are neither the best nor the last of their run, nor pinned.

    A file that is not the one that was recorded is left alone.

    \b
    Example:
      tracker checkpoints prune digits-3 --keep 2 --dry-run
    """
    from tracker.maintenance import checkpoints

    if not names and where is None:
        raise BadValue("Name runs, or choose them with --where.")
    location = locate(database)
    with reading(location) as reader:
        ids = select_runs(reader, names, where)
    plans = [checkpoints.plan_pruning(location, run, keep) for run in ids]
    going = [one for plan in plans for one in plan.going]
    for one in going:
        click.echo(f"{'would go' if dry_run else 'goes'}: {visible(str(one.path))}")
    amount = f"{counted(len(going), 'file')}, {size(sum(one.bytes for one in going))}"
    if dry_run or not going:
        click.echo(f"{amount} to delete.")
        return
    if not yes:
        click.confirm(f"Delete {amount}?", abort=True, err=True)
    results = [checkpoints.prune(location, plan) for plan in plans if plan.going]
    gone = [one for some, _ in results for one in some]
    click.echo(f"{counted(len(gone), 'file')}, {size(sum(one.bytes for one in gone))} deleted.")
    for path, why in (pair for _, refused in results for pair in refused.items()):
        click.echo(f"Kept {visible(str(path))}: {why}.")


def _are(count: int) -> str:
    return "is not as it was" if count == 1 else "are not as they were"
