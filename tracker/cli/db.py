"""``tracker db``: status, upgrade, backup, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tracker.cli.format import size, visible
from tracker.cli.options import database_option, format_option, new_database_option
from tracker.cli.output import say
from tracker.cli.program import Group
from tracker.cli.progress import progress
from tracker.cli.render import print_data, print_facts
from tracker.errors import BadValue, StoreError, TrackerError
from tracker.queries.result import Column, Listing
from tracker.storage.database import Location, locate, reading

_SIZES = ("size", "kept_size")
"""Facts that are bytes."""
_BYTES_WITH_PROGRESS = 50 << 20
"""Size in bytes from which an examination takes more than a second or two."""


@click.group(cls=Group)
def db() -> None:
    """Inspect, upgrade, back up and repair the database.

    \b
    Example:
      tracker db status
    """


@db.command()
@format_option
@new_database_option
def status(form: str, database: str | None) -> None:
    """Show where the database is, its schema and what it holds.

    \b
    Example:
      tracker db status
    """
    from tracker.queries.totals import totals
    from tracker.storage import schema

    location = locate(database)
    facts: dict[str, Any] = {"database": str(location), "schema": None}
    state = f"none yet; this release creates {schema.HEAD}"
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
    facts |= _stored(location)
    if form == "table":
        shown = facts | {"schema": state}
        print_facts(
            (name.replace("_", " "), size(value) if name in _SIZES else visible(str(value)))
            for name, value in shown.items()
        )
    else:
        columns = tuple(Column(name, "any") for name in facts)
        print_data(Listing(columns, [list(facts.values())]), form)
    if problem is not None:
        raise problem


def _stored(location: Location) -> dict[str, int]:
    """Return what the data folder keeps of files whose names later runs have taken."""
    from tracker.maintenance.store import totals

    files, taken = totals(location)
    return {"kept_files": files, "kept_size": taken}


def _size(path: Path) -> int:
    files = [path, Path(f"{path}-wal")]
    return sum(file.stat().st_size for file in files if file.exists())


@db.command()
@new_database_option
def upgrade(database: str | None) -> None:
    """Upgrade the database to the schema of this release, or create one.

    A backup is made first. An upgrade that fails leaves the database as it was.

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
        say(f"Backup: {visible(str(saved))}")
    say(f"{visible(str(location))} has schema {schema.HEAD}.")


@db.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The backup file; by default next to the database.",
)
@database_option
def backup(output: Path | None, database: str | None) -> None:
    """Back up an SQLite database, even while it is in use.

    \b
    Example:
      tracker db backup -o /mnt/backup/tracker.db
    """
    from tracker.storage import migrate

    location = locate(database)
    if location.path is None:
        raise StoreError("Back up a server with its own tools, such as pg_dump.")
    with reading(location) as reader:
        if reader.empty:
            raise StoreError(
                f"No database at {location} yet: record a run first, or pass --database."
            )
    saved = migrate.backup(location, output)
    say(f"Backup: {visible(str(saved))}")


@db.command()
@click.option("--fix", is_flag=True, help="Repair what can be repaired without losing a record.")
@click.option(
    "--quick", is_flag=True,
    help="Look at runs, pending records and files alone; do not read the whole database.",
)  # fmt: skip
@click.option(
    "--salvage", type=click.Path(path_type=Path), metavar="NEW.db",
    help="Copy what can still be read of a damaged database into a new one.",
)  # fmt: skip
@database_option
def doctor(fix: bool, quick: bool, salvage: Path | None, database: str | None) -> None:
    """Find damage, lost runs, pending records and changed files; exits with 1 if there are any.

    \b
    Example:
      tracker db doctor --fix
    """
    from tracker.maintenance import doctor as checks

    if quick and (fix or salvage is not None):
        other = "--fix" if fix else "--salvage"
        raise BadValue(f"--quick and {other} exclude each other: give one of them.")
    location = locate(database)
    if salvage is not None:
        from tracker.maintenance.salvage import salvage as salvage_rows

        for table, (saved, lost) in salvage_rows(location, salvage).items():
            say(f"{table:<12} {saved} rows saved, {lost} lost")
        return
    if location.exists():
        from tracker.storage.schema import check_file

        check_file(location)
    if fix and checks.structure(location) is None:
        checks.mend(location)
    findings = []
    with progress("Examining", shown=_is_large(location)) as track:
        step = track(len(checks.Subject))
        for finding in checks.examine(location, quick=quick):
            findings.append(finding)
            step()
    for finding in findings:
        said = visible(finding.problem or finding.note or "ok")
        say(f"{finding.subject:<16} {said}", indent=17)
        if finding.problem is not None:
            say(f"{'':<16} → {finding.remedy}", indent=19)
    if quick:
        examined = {finding.subject for finding in findings}
        skipped = [subject for subject in checks.Subject if subject not in examined]
        say(f"Not examined: {', '.join(skipped)}.")
    wrong = [finding.subject for finding in findings if finding.problem is not None]
    if wrong:
        raise StoreError(f"Problems with: {', '.join(wrong)}.")


def _is_large(location: Location) -> bool:
    """Say whether an examination takes long enough to show how far it is; on a server it may."""
    if location.path is None:
        return True
    return location.exists() and location.path.stat().st_size > _BYTES_WITH_PROGRESS
