"""The import rules hold, and each turns red for a planted violation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import tracker
from tests.helpers import ROOT
from tests.helpers import architecture as rules

adapters = partial(rules.adapters_use_public_names, public=list(tracker.__all__))

PLANTED = [
    (rules.pure_modules_know_no_database, "tracker/policies/best.py", "import sqlalchemy"),
    (
        rules.pure_modules_know_no_database,
        "tracker/series/codec.py",
        "from tracker.storage.database import locate",
    ),
    (
        rules.queries_never_write,
        "tracker/queries/runs.py",
        "from sqlalchemy import delete\nx = delete(RUN)",
    ),
    (rules.queries_never_write, "tracker/queries/runs.py", "x = RUN.update()"),
    (rules.frames_cli_and_web_hold_no_sql, "tracker/frames.py", "from sqlalchemy import select"),
    (rules.frames_cli_and_web_hold_no_sql, "tracker/cli/runs.py", "def f():\n    import sqlite3"),
    (rules.frames_cli_and_web_hold_no_sql, "tracker/web/app.py", "import sqlalchemy"),
    (rules.imports_point_left, "tracker/web/app.py", "from tracker.cli import program"),
    (
        adapters,
        "adapters/tracker_keras/callbacks/history.py",
        "from tracker.recording.recorder import Recorder",
    ),
    (adapters, "adapters/tracker_keras/callbacks/history.py", "import tracker_torch"),
    (adapters, "adapters/tracker_torch/callbacks/history.py", "import keras"),
    (adapters, "adapters/tracker_integrations/recording.py", "import tracker_torch"),
    (
        adapters,
        "adapters/tracker_integrations/recording.py",
        "from tracker.recording.recorder import Recorder",
    ),
    (rules.importing_is_light, "tracker/recording/run.py", "import pandas"),
    (rules.importing_is_light, "tracker/recording/start.py", "from alembic import command"),
    (
        rules.migrations_import_nothing_of_ours,
        "migrations/versions/0001_the_first_schema.py",
        "from tracker import models",
    ),
    (rules.imports_point_left, "tracker/policies/best.py", "from tracker.storage import spool"),
    (rules.imports_point_left, "tracker/values.py", "def f():\n    import tracker.models"),
    (rules.imports_point_left, "tracker/novel.py", "import tracker.clock"),
    (
        rules.no_file_imports_itself_in_a_circle,
        "tracker/errors.py",
        "if TYPE_CHECKING:\n    from tracker.values import number",
    ),
]


def tree(folder: Path) -> Path:
    """Copy the sources."""
    for part in ("tracker", "adapters", "migrations"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    "rule",
    dict.fromkeys(rule for rule, _, _ in PLANTED),
    ids=lambda rule: getattr(rule, "__name__", "adapters_use_public_names"),
)
def test_a_rule_holds(rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize(
    ("rule", "file", "planted"),
    PLANTED,
    ids=[f"{file}-{number}" for number, (_, file, _) in enumerate(PLANTED)],
)
def test_a_planted_violation_is_seen(
    rule: Callable[[Path], list[str]], file: str, planted: str, folder: Path
) -> None:
    assert rule(tree(folder)) == []
    target = folder / file
    there = target.read_text(encoding="utf-8") if target.exists() else ""
    target.write_text(f"{there}\n{planted}\n", encoding="utf-8")
    assert rule(folder) != []


def test_a_pure_package_that_was_renamed_is_missed(folder: Path) -> None:
    package = tree(folder) / "tracker" / "series"
    package.rename(package.with_name("columns"))
    (told,) = rules.pure_modules_know_no_database(folder)
    assert "series" in told
