"""``tracker runs tag | note | rename | delete | reap``: what changes runs after the fact."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tracker.cli.format import size, visible
from tracker.cli.options import (
    complete_runs,
    database_option,
    require_runs,
    run_argument,
    runs_argument,
    where_option,
)
from tracker.cli.output import agree, say
from tracker.errors import BadValue, counted
from tracker.queries import api as queries
from tracker.queries.resolve import select_runs
from tracker.storage.database import Reader, compact, locate, reading

_WHERE = where_option("All runs that match this filter, instead of RUN.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only list the runs that would be changed.")


@click.command()
@click.argument("words", metavar="[RUN] TAG[=VALUE]…", nargs=-1, shell_complete=complete_runs)
@click.option(
    "-d", "--delete", "removed", multiple=True, metavar="TAG", help="Remove a tag; can be repeated."
)
@_WHERE
@_DRY_RUN
@database_option
def tag(
    words: tuple[str, ...],
    removed: tuple[str, ...],
    where: str | None,
    dry_run: bool,
    database: str | None,
) -> None:
    """Add tags to a run, or to all that match --where, for filters such as --where "tags.team = 'vision'".

    \b
    Example:
      tracker runs tag digits-3 team=vision keep -d draft
      tracker runs tag --where "experiment = 'digits' and val_loss > 1" bad --dry-run
    """
    from tracker.maintenance import edits

    named, tags = _named_and_rest(words, where)
    if not tags and not removed:
        raise BadValue("No tag is given: name one, such as team=vision, or -d TAG to remove one.")
    given = {key: value for key, _, value in (one.partition("=") for one in tags)}
    if "" in given:
        raise BadValue("A tag has no name: write NAME or NAME=VALUE.")
    ids = _selected(named, where, database, "tagged", dry_run=dry_run, announced=True)
    if ids and not dry_run:
        edits.tag(locate(database), ids, given, removed)


@click.command()
@click.argument("words", metavar="[RUN] [TEXT]", nargs=-1, shell_complete=complete_runs)
@click.option("--clear", is_flag=True, help="Remove the note.")
@_WHERE
@_DRY_RUN
@database_option
def note(
    words: tuple[str, ...], clear: bool, where: str | None, dry_run: bool, database: str | None
) -> None:
    """Attach a note to a run, or to all that match --where; tracker runs show prints it.

    \b
    Example:
      tracker runs note digits-3 "with the cleaned labels"
      tracker runs note --where "experiment = 'digits'" "with the cleaned labels"
    """
    from tracker.maintenance import edits

    named, texts = _named_and_rest(words, where)
    if len(texts) > 1:
        raise BadValue(f"{len(texts)} texts are given: put the note in quotes.")
    if clear == bool(texts):
        raise BadValue("Give either the text of the note, or --clear to remove it.")
    ids = _selected(named, where, database, "noted", dry_run=dry_run, announced=True)
    if ids and not dry_run:
        edits.note(locate(database), ids, texts[0] if texts else None)


@click.command()
@run_argument()
@click.argument("new")
@database_option
def rename(name: str, new: str, database: str | None) -> None:
    """Rename a run.

    \b
    Example:
      tracker runs rename digits-3 baseline
    """
    from tracker.maintenance import edits

    if others := edits.rename(locate(database), _run(name, database), new):
        say(
            f"Note: {counted(others, 'other run')} had the name {visible(new)} already. The name alone means the "
            f"newest of them; an id means another.",
            err=True,
        )


@click.command()
@runs_argument()
@where_option("Only runs that match this filter.")
@click.option(
    "--files",
    is_flag=True,
    help="Also delete their checkpoint files, unless a file is pinned or has been changed.",
)
@click.option("--dry-run", is_flag=True, help="Only list the runs that would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@database_option
def delete(
    names: tuple[str, ...],
    where: str | None,
    files: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
) -> None:
    """Delete runs and everything recorded about them; files stay unless --files is given.

    \b
    Example:
      tracker runs delete digits-1 digits-2 --yes
      tracker runs delete --where "experiment = 'digits' and epochs < 2" --dry-run
    """
    from tracker.maintenance import edits

    require_runs(names, where)
    ids = _selected(names, where, database, "deleted", dry_run=dry_run)
    if dry_run or not ids:
        return
    with reading(database) as reader:
        named = _names(reader, ids)
    what = "run" if len(ids) == 1 else f"{len(ids)} runs"
    if not yes:
        agree(f"Delete the {what} {named} permanently?")
    gone = edits.delete(locate(database), ids, files=files)
    freed = compact(locate(database))
    say(f"Deleted the {what} {named}{f'; {size(freed)} freed' if freed else ''}.")
    if files:
        say(f"{counted(len(gone.files), 'file')} deleted.")
        for path, why in gone.kept.items():
            say(f"Kept {visible(str(path))}: {why}.")


@click.command()
@database_option
def reap(database: str | None) -> None:
    """Mark runs whose process died as lost, and import their pending records.

    Listings show such runs as lost anyway, and the next run to start does this by itself.

    \b
    Example:
      tracker runs reap
    """
    from tracker.recording.recovery import recover

    location = locate(database)
    if not location.exists():
        say(f"No runs in {location} yet.")
        return
    with reading(location):
        # A database that is not ours is refused here, before anything is written.
        pass
    lost = recover(location)
    with reading(location) as reader:
        named = _names(reader, lost)
    say(f"Lost: {named}." if lost else "No run was lost.")


def _run(name: str, database: str | None) -> str:
    with reading(database) as reader:
        return queries.find_run(reader, name)


def _named_and_rest(
    words: tuple[str, ...], where: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split words into the run and the rest; with a filter there is no run among them."""
    if where is not None:
        return (), words
    if not words:
        raise BadValue("Name a run, or select runs with --where.")
    return words[:1], words[1:]


def _selected(
    names: Sequence[str],
    where: str | None,
    database: str | None,
    done: str,
    *,
    dry_run: bool,
    announced: bool = False,
) -> list[str]:
    """Return the runs that are meant.

    A dry run says which they are, and so does one that is ``announced``, where a filter has selected them: they
    are ``done``.
    """
    with reading(database) as reader:
        ids = select_runs(reader, names, where)
        if not ids:
            say(f"No run in {visible(str(reader.location))} matches the filter.", err=True)
        elif dry_run:
            names_of = queries.labels(reader.connection, ids)
            for run in ids:
                say(f"would be {done}: {visible(names_of[run])}")
            say(f"{counted(len(ids), 'run')}.")
        elif where is not None and announced:
            say(f"{counted(len(ids), 'run')} {done}: {_names(reader, ids)}.")
    return ids


def _names(reader: Reader, ids: list[str]) -> str:
    if not ids:
        return ""
    names = queries.labels(reader.connection, ids)
    shown = [visible(names[one]) for one in ids[:10]]
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    return ", ".join(shown) + more
