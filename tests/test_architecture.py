"""Who may import whom, and how long a file may be: rules over a source tree, each seen red for a planted violation."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERIES = ("series", "blocks", "stored", "buffer", "packing", "tensors", "thinning")
STORES = ("sqlalchemy", "sqlmodel", "alembic", "sqlite3", "psycopg")
OUR_STORES = tuple(
    f"tracker.{name}"
    for name in ("database", "engine", "models", "tables", "journal", "upsert", "migrate", "schema")
)
OURS = ("tracker", "tracker_keras", "tracker_torch")
FRAMEWORKS = {"tracker_keras": ("keras", "tensorflow"), "tracker_torch": ("torch", "safetensors")}
LONGEST = 300

Rule = Callable[[Path], list[str]]


def files(tree: Path, *patterns: str) -> list[Path]:
    return sorted(
        {path for pattern in patterns for path in tree.glob(pattern) if path.suffix == ".py"}
    )


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name or None) of every import, at the top and inside functions, type checking included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = (
                f"{path.parent.name}.{node.module or ''}".rstrip(".") if node.level else node.module
            )
            yield from ((module or "", alias.name) for alias in node.names)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def importing(paths: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.name} imports {module}.{name or ''}".rstrip(".")
        for path in paths
        for module, name in imports(path)
        if within(module, forbidden) or (name and within(f"{module}.{name}", forbidden))
    ]


def policies_and_series_import_no_database(tree: Path) -> list[str]:
    paths = files(tree, "tracker/policies/**/*", *(f"tracker/{name}.py" for name in SERIES))
    return importing(paths, (*STORES, *OUR_STORES))


def policies_know_of_ours_nothing_but_errors(tree: Path) -> list[str]:
    return [
        f"{path.name} imports {module}"
        for path in files(tree, "tracker/policies/**/*")
        for module, name in imports(path)
        if within(module, OURS)
        and not within(module, ("tracker.errors", "tracker.policies"))
        and not (module == "tracker" and name in {"errors", "policies"})
    ]


_WRITING = re.compile(
    r"\s*(insert into|update \w+ set|delete from|replace into|(create|drop|alter) (table|index)|vacuum)",
    re.IGNORECASE,
)


def queries_never_write(tree: Path) -> list[str]:
    paths = files(
        tree, "tracker/queries*", "tracker/queries/**/*", "tracker/where*", "tracker/where/**/*"
    )
    found = importing(
        paths, ("tracker.upsert", "tracker.journal", "tracker.migrate", "tracker.recorder")
    )
    for path in paths:
        for module, name in imports(path):
            if module.startswith("sqlalchemy") and name in {"insert", "update", "delete"}:
                found.append(f"{path.name} imports {name}")
            if module.startswith("tracker.database") and name in {"writing", "Database", "prepare"}:
                found.append(f"{path.name} imports {name}")
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and _WRITING.match(node.value)
            ):
                found.append(f"{path.name}: {node.value[:40]}")
    return found


def frames_and_cli_hold_no_sql(tree: Path) -> list[str]:
    paths = files(tree, "tracker/frames*", "tracker/frames/**/*", "tracker/cli/**/*")
    return importing(paths, STORES)


def adapters_use_public_names_only(tree: Path) -> list[str]:
    public = set(importlib.import_module("tracker").__all__)
    found = []
    for adapter, frameworks in FRAMEWORKS.items():
        others = tuple(one for one in OURS if one not in {adapter, "tracker"})
        foreign = tuple(one for name, some in FRAMEWORKS.items() if name != adapter for one in some)
        for path in files(tree, f"adapters/{adapter}/**/*"):
            found += importing([path], (*others, *foreign, *STORES))
            for module, name in imports(path):
                if module == "tracker" and name is not None and name not in public:
                    found.append(f"{path.name} imports tracker.{name}")
                if (
                    within(module, ("tracker",))
                    and module != "tracker"
                    and not _is_public(module, public)
                ):
                    found.append(f"{path.name} imports {module}")
        assert frameworks
    return found


def _is_public(module: str, public: set[str]) -> bool:
    return module.split(".")[1] in public


def a_migration_imports_nothing_of_ours(tree: Path) -> list[str]:
    return importing(files(tree, "migrations/**/*"), OURS)


def core_knows_no_adapter_and_no_framework(tree: Path) -> list[str]:
    allowed = {"capture.py"}
    paths = [path for path in files(tree, "tracker/**/*") if path.name not in allowed]
    return importing(paths, ("tracker_keras", "tracker_torch", "keras", "torch", "lightning"))


def no_file_is_longer_than_three_screens(tree: Path) -> list[str]:
    patterns = [
        f"{top}/**/*"
        for top in ("tracker", "adapters", "migrations", "tests", "benchmarks", "examples")
    ]
    return [
        f"{path.relative_to(tree)} has {lines} lines"
        for path in files(tree, *patterns)
        if (lines := len(path.read_text().splitlines())) > LONGEST
    ]


PLANTED: list[tuple[Rule, str, str]] = [
    (policies_and_series_import_no_database, "tracker/policies/x.py", "import sqlalchemy"),
    (policies_and_series_import_no_database, "tracker/policies/x.py", "from tracker import database"),
    (policies_and_series_import_no_database, "tracker/series.py", "def f():\n    from tracker.tables import RUN"),
    (policies_and_series_import_no_database, "tracker/buffer.py", "from tracker.engine import Lock"),
    (policies_know_of_ours_nothing_but_errors, "tracker/policies/x.py", "from tracker.run import Run"),
    (queries_never_write, "tracker/queries/x.py", "from sqlalchemy import insert"),
    (queries_never_write, "tracker/queries/x.py", "from tracker.database import writing"),
    (queries_never_write, "tracker/queries/x.py", "q = 'DELETE FROM run'"),
    (frames_and_cli_hold_no_sql, "tracker/frames.py", "from sqlalchemy import select"),
    (frames_and_cli_hold_no_sql, "tracker/cli/x.py", "import sqlalchemy.exc"),
    (adapters_use_public_names_only, "adapters/tracker_keras/x.py", "from tracker.run import Run"),
    (adapters_use_public_names_only, "adapters/tracker_keras/x.py", "from tracker import recorder"),
    (adapters_use_public_names_only, "adapters/tracker_keras/x.py", "import torch"),
    (adapters_use_public_names_only, "adapters/tracker_torch/x.py", "from tracker_keras import History"),
    (adapters_use_public_names_only, "adapters/tracker_torch/x.py", "import sqlite3"),
    (a_migration_imports_nothing_of_ours, "migrations/versions/x.py", "from tracker.models import Run"),
    (core_knows_no_adapter_and_no_framework, "tracker/x.py", "import tracker_torch"),
    (no_file_is_longer_than_three_screens, "tracker/x.py", "\n" * (LONGEST + 1)),
]  # fmt: skip

RULES = list(dict.fromkeys(rule for rule, _, _ in PLANTED))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Rule) -> None:
    assert rule(ROOT) == []


@pytest.mark.parametrize(
    ("rule", "path", "text"), PLANTED, ids=lambda one: getattr(one, "__name__", str(one)[:40])
)
def test_a_planted_violation_turns_the_rule_red(
    rule: Rule, path: str, text: str, folder: Path
) -> None:
    """And the same tree without it is green."""
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text("from tracker import errors\n" if "tracker/" in path[:8] else "")
    assert rule(folder) == []
    (folder / path).write_text(text)
    assert len(rule(folder)) == 1


HEAVY = ("tensorflow", "keras", "torch", "pandas", "alembic")


@pytest.mark.parametrize(
    ("use", "may_not_load"),
    [
        ("import tracker", (*HEAVY, "sqlalchemy", "sqlmodel", "numpy", "psutil")),
        ("import tracker.start, tracker.run", HEAVY),
        ("import tracker.cli", HEAVY),
    ],
)
def test_an_import_stays_light(use: str, may_not_load: tuple[str, ...]) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {use}; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)).isdisjoint(may_not_load)


def test_the_package_is_what_was_imported_here() -> None:
    import tracker

    assert Path(tracker.__file__).parent == ROOT / "tracker"
