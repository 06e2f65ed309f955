"""A database is brought to this release's schema, with a backup, whole or not at all."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, select
from sqlmodel import SQLModel

import tracker
from tracker import models
from tracker.errors import DatabaseTooNew, DatabaseTooOld, NotWritable, StoreError
from tracker.maintenance.doctor import runs_with_wrong_summaries
from tracker.storage import migrate, schema
from tracker.storage.database import reading
from tracker.storage.location import Location, locate
from tracker.storage.prepare import prepare

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.fixture
def location(folder: Path) -> Location:
    found = locate()
    prepare(found)
    return found


def set_version(location: Location, version: str) -> None:
    with closing(sqlite3.connect(str(location.path))) as connection:
        connection.execute("UPDATE tracker_schema_version SET version_num = ?", (version,))
        connection.commit()


def test_a_new_database_has_the_newest_schema(location: Location, sql: Any) -> None:
    assert sql("SELECT version_num FROM tracker_schema_version") == [(schema.HEAD,)]
    assert migrate.upgrade(location) is None
    assert not list(Path(".tracker").glob("*.backup*"))


def test_the_schema_is_that_of_the_models(location: Location) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with reading(location) as reader:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(reader.connection, opts=options)
        assert compare_metadata(context, models.Table.metadata) == []
        assert "run" in inspect(reader.connection).get_table_names()
    assert "run" not in SQLModel.metadata.tables


def test_a_new_database_is_what_the_migrations_make() -> None:
    made, migrated = (shape_after(make) for make in (migrate.lay_down, migrate.run_migrations))
    assert made.keys() == migrated.keys()
    for name, shape in migrated.items():
        assert made[name] == shape, name


def shape_after(make: Callable[[Connection], None]) -> dict[str, list[Any]]:
    """Return what an empty database is by table: columns, indexes, foreign keys, row numbers; and the version."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        make(connection)

        def ask(question: str) -> list[tuple[Any, ...]]:
            return sorted((tuple(row) for row in connection.exec_driver_sql(question)), key=repr)

        shape: dict[str, list[Any]] = {"version": ask(f"SELECT * FROM {schema.VERSION_TABLE}")}
        for (table,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'"):
            columns = [row[1:] for row in ask(f"PRAGMA table_info({table})")]
            keys = [row[2:] for row in ask(f"PRAGMA foreign_key_list({table})")]
            # A constraint's index is named by its number, which depends on the order.
            indexes = [
                (
                    re.sub(r"_\d+$", "", index[1]),
                    *index[2:],
                    [
                        row[2]
                        for row in connection.exec_driver_sql(f"PRAGMA index_info({index[1]})")
                    ],
                    ask(f"SELECT sql FROM sqlite_master WHERE name = '{index[1]}'"),
                )
                for index in ask(f"PRAGMA index_list({table})")
            ]
            rows = ask(
                f"SELECT sql LIKE '%WITHOUT ROWID%' FROM sqlite_master WHERE name = '{table}'"
            )
            shape[table] = [sorted(part, key=repr) for part in (columns, keys, indexes, rows)]
        return shape


def test_the_releases_known_by_number_are_the_migrations() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(migrate.config())
    revisions = [one.revision for one in script.walk_revisions()]
    assert tuple(reversed(revisions)) == schema.HISTORY


def test_a_newer_database_is_refused_and_left_as_it_was(location: Location) -> None:
    set_version(location, "9999")
    assert location.path is not None
    before = location.path.read_bytes()
    for use in (prepare, migrate.upgrade, lambda one: reading(one).__enter__()):
        with pytest.raises(DatabaseTooNew, match="pip install --upgrade"):
            use(location)
    with pytest.raises(DatabaseTooNew):
        tracker.start_run()
    assert location.path.read_bytes() == before


def test_an_older_database_is_read_only_after_an_upgrade(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "HISTORY", ("0000", schema.HEAD))
    set_version(location, "0000")
    with pytest.raises(DatabaseTooOld, match="tracker db upgrade"), reading(location):
        pass


def test_an_upgrade_that_fails_leaves_the_old_database_and_a_backup(
    location: Location, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.scripts(), scripts)
    (scripts / "versions/9998_half.py").write_text(HALF)
    monkeypatch.setattr(migrate, "scripts", lambda: scripts)
    monkeypatch.setattr(schema, "HISTORY", (*schema.HISTORY, "9998"))
    monkeypatch.setattr(schema, "HEAD", "9998")
    tables = dump(location.path)
    with pytest.raises(ZeroDivisionError):
        prepare(location)
    assert dump(location.path) == tables
    (backup,) = Path(".tracker").glob("*.backup-*")
    assert dump(backup) == tables
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


HALF = f'''
from alembic import op
revision, down_revision = "9998", "{schema.HEAD}"
def upgrade():
    op.execute("CREATE TABLE half (x)")
    with op.batch_alter_table("run") as batch:
        batch.drop_column("note")
    1 / 0
'''


def dump(path: Path | None) -> list[str]:
    with closing(sqlite3.connect(str(path))) as connection:
        return list(connection.iterdump())


def test_an_upgrade_keeps_every_row_and_its_children(
    location: Location, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sql: Any
) -> None:
    with tracker.start_run(params={"lr": 1}) as run:
        run.log_epoch(0, {"loss": 1.0})
    scripts = tmp_path / "migrations"
    shutil.copytree(migrate.scripts(), scripts)
    (scripts / "versions/9998_whole.py").write_text(HALF.replace("    1 / 0\n", ""))
    monkeypatch.setattr(migrate, "scripts", lambda: scripts)
    monkeypatch.setattr(schema, "HISTORY", (*schema.HISTORY, "9998"))
    monkeypatch.setattr(schema, "HEAD", "9998")
    assert migrate.upgrade(location) is not None
    assert sql("SELECT count(*) FROM param UNION ALL SELECT count(*) FROM metric") == [(1,), (1,)]
    assert sql("PRAGMA foreign_key_check") == []
    assert sql("SELECT version_num FROM tracker_schema_version") == [("9998",)]


def test_the_upgrade_of_a_large_file_says_that_it_takes_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, large in (("small.db", migrate._LARGE), ("large.db", 1)):
        monkeypatch.setattr(migrate, "_LARGE", large)
        with closing(sqlite3.connect(name)) as connection:
            connection.executescript((SCHEMAS / "0010.sql").read_text())
        migrate.upgrade(locate(name))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "large.db is upgraded to schema" in said


@pytest.mark.parametrize("release", schema.HISTORY[:-1])
def test_a_database_of_an_earlier_schema_keeps_every_row(folder: Path, release: str) -> None:
    """Filled by the program that had it: NaN, -0.0, a checkpoint, decisions, a sweep, two attempts."""
    old = locate("old.db")
    with closing(sqlite3.connect("old.db")) as connection:
        connection.executescript((SCHEMAS / f"{release}.sql").read_text())
        rows = {name: rows_of(connection, name) for name in tables_of(connection)}
    with pytest.raises(DatabaseTooOld, match="tracker db upgrade"):
        tracker.runs(database="old.db")
    assert migrate.upgrade(old) is not None
    with closing(sqlite3.connect("old.db")) as connection:
        for name, before in rows.items():
            after = [row[: len(before[0])] for row in rows_of(connection, name)]
            if name == "summary":
                after = [row for row in after if row in before]
            assert after == before, name
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT waited FROM attempt").fetchall() == [(0.0,)] * 3
    assert tracker.epochs("whole", database="old.db")["val_loss"].tolist()[0] == 0.25
    assert (
        tracker.metrics("whole", names=["grad"], database="old.db")["value"].tolist() == [0.0] * 3
    )
    with reading("old.db") as reader:
        assert runs_with_wrong_summaries(reader.connection) == []
        summary = select(models.SUMMARY).where(models.SUMMARY.c.name == "grad")
        grad = reader.connection.execute(summary).one()
    assert (grad.last, grad.last_step, grad.min_step, grad.last_epoch) == (0.0, 14, 0, None)
    tracker.start_run(resume="child", database="old.db").finish()


@pytest.mark.parametrize(
    ("config", "mode"),
    [('{"mode": "max"}', "max"), ('{"mode": "auto", "wait": NaN}', None), ("{", None)],
)
def test_an_upgrade_copies_the_mode_of_each_callback(
    folder: Path, config: str, mode: str | None
) -> None:
    with closing(sqlite3.connect("old.db")) as connection, connection:
        connection.executescript((SCHEMAS / "0012.sql").read_text())
        connection.execute("UPDATE policy SET config = ?", (config,))
    migrate.upgrade(locate("old.db"))
    with closing(sqlite3.connect("old.db")) as connection:
        assert connection.execute("SELECT DISTINCT mode FROM policy").fetchall() == [(mode,)]


def tables_of(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in found if name != schema.VERSION_TABLE]


def rows_of(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def test_a_backup_is_a_database_of_its_own_and_never_overwrites(
    location: Location, tmp_path: Path
) -> None:
    tracker.start_run(name="kept").finish()
    target = tmp_path / "copy.db"
    assert migrate.backup(location, target) == target
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT name FROM run").fetchall() == [("kept",)]
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.db"]
    with pytest.raises(NotWritable, match="exists already"):
        migrate.backup(location, target)


def test_an_empty_file_becomes_a_database(folder: Path, sql: Any) -> None:
    """A kill right at the start leaves one."""
    (folder / "x.db").touch()
    tracker.start_run(database="x.db").finish()
    assert sql("SELECT count(*) FROM run", path="x.db") == [(1,)]


def test_a_percent_sign_in_the_path_is_no_problem(folder: Path) -> None:
    (folder / "100%(x)s").mkdir()
    tracker.start_run(database="100%(x)s/a b?c#d.db").finish()
    assert (folder / "100%(x)s/a b?c#d.db").exists()


def test_missing_migrations_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(migrate, "__file__", str(tmp_path / "tracker/storage/migrate.py"))
    with pytest.raises(StoreError, match="reinstall"):
        migrate.scripts()
