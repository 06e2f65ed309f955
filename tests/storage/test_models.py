"""The schema is named once, in `tracker.models`; statements, listings and filters take its columns from there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from tests.helpers import ROOT
from tracker import models
from tracker.models import CHECKPOINT, DECISION, EPOCH, RUN, column_kind

TABLES = {
    name: table for name, table in vars(models).items() if isinstance(table, sqlalchemy.Table)
}


def unknown_columns(path: Path) -> list[str]:
    """Return each ``TABLE.c.column`` of a file that the table does not have."""
    return [
        f"{path.name}:{node.lineno}: {table}.c.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "c"
        and isinstance(node.value.value, ast.Name)
        and (table := node.value.value.id) in TABLES
        and node.attr not in TABLES[table].c
    ]


def test_every_column_that_a_statement_names_is_one_of_its_table(folder: Path) -> None:
    assert [one for file in (ROOT / "tracker").rglob("*.py") for one in unknown_columns(file)] == []
    planted = folder / "planted.py"
    planted.write_text("select(RUN.c.id, RUN.c.nmae)")
    assert unknown_columns(planted) == ["planted.py:1: RUN.c.nmae"]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (RUN.c.name, "text"),
        (RUN.c.started, "time"),
        (RUN.c.ended, "time"),
        (RUN.c.seconds, "number"),
        (RUN.c.epochs, "integer"),
        (CHECKPOINT.c.bytes, "integer"),
        (DECISION.c.step, "integer"),
        (DECISION.c.lr_after, "number"),
        (EPOCH.c.superseded, "flag"),
    ],
    ids=str,
)
def test_a_columns_kind_follows_from_its_type(column: sqlalchemy.Column[object], kind: str) -> None:
    assert column_kind(column) == kind


def test_the_models_do_not_load_the_dialect_of_postgresql() -> None:
    """It would cost each command a tenth of its time."""
    code = (
        "import sys, tracker.models; print([name for name in sys.modules if 'postgresql' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
