"""``tracker runs tag | note | rename | delete | reap``: what changes runs after the fact."""

from __future__ import annotations

import click

from tracker import queries
from tracker.cli.format import size, visible
from tracker.cli.options import database_option, run_argument, runs_argument
from tracker.errors import BadValue, counted
from tracker.storage.database import Reader, compact, locate, reading


@click.command()
@run_argument()
@click.argument("tags", metavar="TAG[=VALUE]…", nargs=-1)
@click.option(
    "-d", "--delete", "removed", multiple=True, metavar="TAG", help="Remove a tag; can be repeated."
)
@database_option
def tag(name: str, tags: tuple[str, ...], removed: tuple[str, ...], database: str | None) -> None:
    """Add tags to a run, for filters such as --where "tags.team = 'vision'".

    \b
    Example:
      tracker runs tag digits-3 team=vision keep -d draft
    """
    from tracker.maintenance import edits

    if not tags and not removed:
        raise BadValue("No tag is given: name one, such as team=vision, or -d TAG to remove one.")
    given = {key: value for key, _, value in (one.partition("=") for one in tags)}
    if "" in given:
        raise BadValue("A tag has no name: write NAME or NAME=VALUE.")
    run = _run(name, database)
    edits.tag(locate(database), run, given, removed)


@click.command()
@run_argument()
@click.argument("text", required=False)
@click.option("--clear", is_flag=True, help="Remove the note.")
@database_option
def note(name: str, text: str | None, clear: bool, database: str | None) -> None:
    """Attach a note to a run; tracker runs show prints it.

    \b
    Example:
      tracker runs note digits-3 "with the cleaned labels"
    """
    from tracker.maintenance import edits

    if clear == (text is not None):
        raise BadValue("Give either the text of the note, or --clear to remove it.")
    edits.note(locate(database), _run(name, database), text)


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
        click.echo(
            f"Note: {counted(others, 'other run')} had the name {visible(new)} already. The name alone means the "
            f"newest of them; an id means another.",
            err=True,
        )


@click.command()
@runs_argument(required=True)
@click.option(
    "--files",
    is_flag=True,
    help="Also delete their checkpoint files, unless a file is pinned or has been changed.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@database_option
def delete(names: tuple[str, ...], files: bool, yes: bool, database: str | None) -> None:
    """Delete runs and everything recorded about them; files stay unless --files is given.

    \b
    Example:
      tracker runs delete digits-1 digits-2 --yes
    """
    from tracker.maintenance import edits

    with reading(database) as reader:
        ids = queries.find_runs(reader, names)
        named = _names(reader, ids)
    what = "run" if len(ids) == 1 else f"{len(ids)} runs"
    if not yes:
        click.confirm(f"Delete the {what} {named} permanently?", abort=True, err=True)
    gone = edits.delete(locate(database), ids, files=files)
    freed = compact(locate(database))
    click.echo(f"Deleted the {what} {named}{f'; {size(freed)} freed' if freed else ''}.")
    if files:
        click.echo(f"{counted(len(gone.files), 'file')} deleted.")
        for path, why in gone.kept.items():
            click.echo(f"Kept {visible(str(path))}: {why}.")


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
        click.echo(f"No runs in {location} yet.")
        return
    with reading(location):
        # A database that is not ours is refused here, before anything is written.
        pass
    lost = recover(location)
    with reading(location) as reader:
        named = _names(reader, lost)
    click.echo(f"Lost: {named}." if lost else "No run was lost.")


def _run(name: str, database: str | None) -> str:
    with reading(database) as reader:
        return queries.find_run(reader, name)


def _names(reader: Reader, ids: list[str]) -> str:
    if not ids:
        return ""
    names = queries.labels(reader.connection, ids)
    shown = [visible(names[one]) for one in ids[:10]]
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    return ", ".join(shown) + more
