"""``tracker db``: status, upgrade, backup, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.format import size, visible
from tracker.cli.options import database_option, format_option, new_database_option
from tracker.cli.program import Group
from tracker.cli.render import show
from tracker.errors import StoreError, TrackerError
from tracker.queries import Column, Listing
from tracker.storage.database import locate, reading


@click.group(cls=Group)
def db() -> None:
    """Look after the database.

    \b
    Example:
      tracker db status
    """


@db.command()
@format_option
@new_database_option
def status(form: str, database: str | None) -> None:
    """Say where the database is, which schema it has, and how much is in it.

    \b
    Example:
      tracker db status
    """
    from tracker.queries.totals import totals
    from tracker.storage import schema

    location = locate(database)
    facts: dict[str, Any] = {"database": str(location), "schema": None}
    state = f"none yet; this release makes {schema.HEAD}"
    problem: TrackerError | None = None
    if location.exists():
        try:
            with reading(location) as reader:
                if not reader.empty:
                    facts["schema"], state = schema.HEAD, f"{schema.HEAD}, current"
                    facts |= totals(reader)
        except TrackerError as error:
            state, problem = "cannot be read", error
    if location.path is not None:
        facts["size"] = _size(location.path)
    if form == "table":
        said = facts | {"schema": state}
        for name, value in said.items():
            text = size(value) if name == "size" else visible(str(value))
            click.echo(f"{name.replace('_', ' '):<13}  {text}")
    else:
        show(Listing(tuple(Column(name, "any") for name in facts), [list(facts.values())]), form)
    if problem is not None:
        raise problem


def _size(path: Path) -> int:
    beside = [path, Path(f"{path}-wal")]
    return sum(one.stat().st_size for one in beside if one.exists())


@db.command()
@new_database_option
def upgrade(database: str | None) -> None:
    """Bring the database to this release's schema, after a backup; or make a new one.

    It is upgraded whole, or left as it was.

    \b
    Example:
      tracker db upgrade
    """
    from tracker.storage import migrate, schema

    location = locate(database)
    if location.exists():
        schema.check_file(location)
    saved = migrate.upgrade(location)
    if saved is not None:
        click.echo(f"Backup: {visible(str(saved))}")
    click.echo(f"{visible(str(location))} has schema {schema.HEAD}.")


@db.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="By default beside it.")
@database_option
def backup(output: Path | None, database: str | None) -> None:
    """Copy an SQLite database, while it may be in use.

    \b
    Example:
      tracker db backup -o /mnt/backup/tracker.db
    """
    from tracker.storage import migrate

    location = locate(database)
    if location.path is None:
        raise StoreError("A server has its own tools for that, such as pg_dump.")
    with reading(location) as reader:
        if reader.empty:
            raise StoreError(f"There is no database at {location} yet.")
    saved = migrate.backup(location, output)
    click.echo(f"Backup: {visible(str(saved))}")


@db.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended without losing a record.")
@click.option(
    "--salvage", type=click.Path(path_type=Path), metavar="NEW.db",
    help="Copy what is readable of a damaged database into a new one.",
)  # fmt: skip
@database_option
def doctor(fix: bool, salvage: Path | None, database: str | None) -> None:
    """Look for damage, lost runs, waiting records, changed files, leftovers; ends with 1 if there are some.

    \b
    Example:
      tracker db doctor --fix
    """
    from tracker.maintenance import doctor as physician

    location = locate(database)
    if salvage is not None:
        from tracker.maintenance.salvage import salvage as saved_rows

        for table, (saved, lost) in saved_rows(location, salvage).items():
            click.echo(f"{table:<12} {saved} rows saved, {lost} lost")
        return
    if location.exists():
        from tracker.storage.schema import check_file

        check_file(location)
    if fix and physician.structure(location) is None:
        physician.mend(location)
    found = physician.examine(location)
    for one in found:
        click.echo(f"{one.subject:<16} {visible(one.problem or one.note or 'ok')}")
        if one.problem is not None:
            click.echo(f"{'':<16} → {one.remedy}")
    wrong = [one.subject for one in found if one.problem is not None]
    if wrong:
        raise StoreError(f"Something is wrong with: {', '.join(wrong)}.")
