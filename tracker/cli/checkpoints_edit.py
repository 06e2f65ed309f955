"""``tracker checkpoints``: the commands that change something."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tracker.cli.chosen_checkpoint import ALIAS, EPOCH, PLACE, WHICH, chosen
from tracker.cli.format import size as in_words
from tracker.cli.format import visible
from tracker.cli.options import (
    complete_metrics,
    database_option,
    require_runs,
    runs_argument,
    where_option,
)
from tracker.cli.output import agree, say
from tracker.errors import BadValue, CheckpointError, counted
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.resolve import select_runs
from tracker.storage.database import locate, reading
from tracker.variables import SIGNING_PASSWORD

_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.command()
@WHICH
@PLACE
@ALIAS
@EPOCH
@click.option("--undo", is_flag=True, help="Remove the pin.")
@database_option
def pin(
    which: str, place: str | None, alias: str | None, epoch: int | None, undo: bool,
    database: str | None,
) -> None:  # fmt: skip
    """Pin a checkpoint: neither callbacks nor prune will delete its file.

    \b
    Example:
      tracker checkpoints pin digits-3 best
    """
    from tracker.maintenance.checkpoints import pin as set_pin

    with reading(database) as reader:
        checkpoint = find_checkpoint(reader, which, **chosen(place, alias, epoch))
    set_pin(locate(database), [checkpoint["id"]], pinned=not undo)
    state = "is not pinned any more" if undo else "is pinned"
    say(f"{visible(checkpoint['path'])} {state}.")


@click.command()
@runs_argument()
@where_option("Only files of runs that match this filter.")
@click.option(
    "--last", "--keep", "keep", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
    help="Also keep the N newest files.",
)  # fmt: skip
@click.option(
    "--best", type=click.IntRange(min=1), metavar="K", help="Also keep the K best by each monitor."
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also keep the epochs N, 2N, … (from 1).",
)
@click.option(
    "--max-size",
    metavar="SIZE",
    help="Of what stays, delete the oldest until it takes no more, such as 20GB.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@database_option
def prune(
    names: tuple[str, ...], where: str | None, keep: int, best: int | None, every: int | None,
    max_size: str | None, dry_run: bool, yes: bool, database: str | None,
) -> None:  # fmt: skip
    """Delete checkpoint files, except the best, the last and pinned ones.

    A file that has changed since it was recorded is left alone.

    \b
    Example:
      tracker checkpoints prune digits-3 --last 2 --dry-run
    """
    from tracker.maintenance import checkpoints as files
    from tracker.policies import validation

    require_runs(names, where)
    location = locate(database)
    with reading(location) as reader:
        ids = select_runs(reader, names, where)
    size = None if max_size is None else validation.size(max_size)
    plans = [
        files.plan_pruning(location, run, keep, best=best, every=every, size=size) for run in ids
    ]
    going = [file for plan in plans for file in plan.going]
    for file in going:
        say(f"{'would delete' if dry_run else 'to delete'}: {visible(str(file.path))}")
    amount = f"{counted(len(going), 'file')}, {in_words(sum(file.bytes for file in going))}"
    if dry_run or not going:
        say(f"{amount} to delete.")
        return
    if not yes:
        agree(f"Delete {amount}?")
    results = [files.prune(location, plan) for plan in plans if plan.going]
    deleted = [file for gone, _ in results for file in gone]
    total = in_words(sum(file.bytes for file in deleted))
    say(f"{counted(len(deleted), 'file')}, {total} deleted.")
    for path, why in (pair for _, refused in results for pair in refused.items()):
        say(f"Kept {visible(str(path))}: {why}.")


@click.command()
@click.option(
    "--keep", type=click.Choice(["best", "run", "none"]),
    help="The rule for all files: the best of each experiment, of each run, or none but pinned ones; by "
    "default the rule that each was kept by.",
)  # fmt: skip
@click.option(
    "--max-size",
    metavar="SIZE",
    help="How much may stay, such as 20GB: the oldest go first, pinned ones never.",
)
@_DRY_RUN
@database_option
def gc(keep: str | None, max_size: str | None, dry_run: bool, database: str | None) -> None:
    """Delete what need not stay of the files that later runs have replaced; say what stays, and why.

    Only files in the data folder are deleted, never one that has the name it was saved under.

    \b
    Example:
      tracker checkpoints gc --max-size 20GB --dry-run
    """
    from tracker.maintenance import store
    from tracker.policies import validation

    location = locate(database)
    plan = store.plan(location, keep, None if max_size is None else validation.size(max_size))
    done = plan if dry_run else store.clean(location, plan)
    with reading(location) as reader:
        rows = (
            {row["id"]: row for row in queries.checkpoints(reader).dicts()}
            if plan.kept or plan.going
            else {}
        )
    for one, why in done.kept:
        say(f"kept    {_described(rows[one.id])}: {why}")
    for one in done.going:
        say(f"{'would go' if dry_run else 'deleted'} {_described(rows[one.id])}")
    for path in done.unreferenced:
        say(
            f"{'would go' if dry_run else 'deleted'} {visible(str(path))}, which no checkpoint names"
        )
    freed = counted(len(done.going) + len(done.unreferenced), "file")
    say(
        f"{counted(len(done.kept), 'file')}, {in_words(done.bytes_kept)} kept; {freed}, "
        f"{in_words(done.bytes_going)} {'would go' if dry_run else 'deleted'}."
    )
    for path, why in done.refused.items():
        say(f"Kept {visible(str(path))}: {why}.")


def _described(row: dict[str, object]) -> str:
    epoch = "" if row["epoch"] is None else f" epoch {row['epoch']}"
    return visible(f"{row['run']}{epoch} {row['path']} ({in_words(int(str(row['bytes'])))})")


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--run", "run", metavar="RUN", help="The run of a file that no run has saved.")
@click.option("--epoch", type=int, metavar="N", help="The epoch of a new checkpoint.")
@click.option(
    "--monitor",
    metavar="METRIC",
    shell_complete=complete_metrics,
    help="What a new checkpoint is judged by.",
)
@click.option("--value", type=float, help="The value of that metric.")
@database_option
def adopt(
    files: tuple[Path, ...], run: str | None, epoch: int | None, monitor: str | None,
    value: float | None, database: str | None,
) -> None:  # fmt: skip
    """Register files: those that you moved or renamed, or new ones of a run.

    A file whose bytes a run has saved, and whose recorded file is gone, is that checkpoint again. Any
    other one becomes a checkpoint of --run.

    \b
    Example:
      tracker checkpoints adopt models/best.pt --run digits-3 --epoch 7
    """
    from tracker.maintenance import adoption

    location = locate(database)
    with reading(location) as reader:
        id = None if run is None else queries.find_run(reader, run)
    facts = {"epoch": epoch, "monitor": monitor, "value": value}
    for one in adoption.adopt(location, files, id, **facts):
        how = "is checkpoint" if one.found else "is registered as checkpoint"
        say(f"{visible(str(one.path))} {how} {one.id} of run {one.run}.")


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@_DRY_RUN
@database_option
def relocate(old: Path, new: Path, dry_run: bool, database: str | None) -> None:
    """Note that you have moved files from OLD, a file or folder, to NEW; each one is checked by its hash.

    No file is touched. Exits with 1 if files are not at NEW.

    \b
    Example:
      tracker checkpoints relocate checkpoints /mnt/archive/checkpoints
    """
    from tracker.maintenance import adoption

    done = adoption.relocate(locate(database), old, new, dry_run=dry_run)
    for path in done.moved:
        say(f"{'would be at' if dry_run else 'now at'} {visible(str(path))}")
    for path, why in done.left.items():
        say(f"left alone: {visible(str(path))}: {why}.")
    if not done.moved and not done.left:
        raise BadValue(
            f"No checkpoint is recorded at or below {old}: see tracker checkpoints list."
        )
    if done.left:
        raise CheckpointError(f"{counted(len(done.left), 'file')} of {old} not found at {new}.")


@click.command()
@runs_argument()
@click.argument("url", metavar="URL")
@where_option("Only files of runs that match this filter.")
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="How many files are sent at the same time; by default 4.",
)  # fmt: skip
@_DRY_RUN
@database_option
def upload(
    names: tuple[str, ...], url: str, where: str | None, jobs: int | None, dry_run: bool,
    database: str | None,
) -> None:  # fmt: skip
    """Copy available files to a remote folder: s3://bucket/folder, gs://…, sftp://…, file:///….

    Each copy is read back and compared by its hash before it is recorded; what is there already is not sent
    again. `restore`, `verify` and `tracker.load_checkpoint` use a copy where the file is gone or changed.
    Credentials come from where fsspec looks for them. Exits with 1 if something was not copied.

    \b
    Example:
      tracker checkpoints upload digits-3 s3://models/digits --dry-run
    """
    from tracker.maintenance import upload as copies

    require_runs(names, where)
    location = locate(database)
    with reading(location) as reader:
        ids = select_runs(reader, names, where)
    plan = copies.plan(location, ids, url)
    failed = []
    if dry_run:
        for one in plan.going:
            say(f"would copy {_described(one.checkpoint)} to {visible(one.url)}")
    else:
        for one, why in copies.upload(location, plan, jobs):
            if why is not None:
                failed.append(one)
                say(f"not copied: {_described(one.checkpoint)}: {why}")
            else:
                say(f"copied {_described(one.checkpoint)} to {visible(one.url)}")
    done = [one for one in plan.going if one not in failed]
    amount = in_words(sum(one.checkpoint["bytes"] for one in done))
    said = "to copy" if dry_run else "copied"
    say(
        f"{counted(len(done), 'file')}, {amount} {said}; {counted(plan.there, 'copy', 'copies')} there already."
    )
    if failed:
        raise CheckpointError(
            f"{counted(len(failed), 'file')} not copied: call again for the rest."
        )


@click.command()
@WHICH
@PLACE
@ALIAS
@EPOCH
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, metavar="PRIVATE.PEM",
    help="An elliptic-curve key, such as openssl ecparam -genkey makes.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing signature.")
@database_option
def sign(
    which: str, place: str | None, alias: str | None, epoch: int | None, key: Path, force: bool,
    database: str | None,
) -> None:  # fmt: skip
    """Sign a checkpoint: the signature lies beside the file, such as best.pt.sig.

    It is made by model-signing, after the file's hash was checked; `verify --key` checks it. The password of
    the key is taken from TRACKER_SIGNING_PASSWORD.

    \b
    Example:
      tracker checkpoints sign digits-3 best --key private.pem
    """
    from tracker.checkpointing import signature
    from tracker.maintenance.checkpoints import recorded_file

    with reading(database) as reader:
        row = find_checkpoint(reader, which, **chosen(place, alias, epoch))
    if row["kept"] is not None:
        raise CheckpointError(
            f"The name of {row['path']} is that of a later run's file: restore this one, and sign that."
        )
    password = os.environ.get(SIGNING_PASSWORD) or None
    made = signature.sign(recorded_file(row), key, password, replace=force)
    say(f"{visible(str(made))} signs {visible(row['path'])}.")
