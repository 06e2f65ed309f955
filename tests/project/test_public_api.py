"""The public API is one sorted list; what is imported costs next to nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from types import ModuleType

import pytest

import tracker
from tests.helpers import ROOT

HEAVY = ("tensorflow", "keras", "torch", "pandas", "alembic", "sqlalchemy", "numpy")


def typed_names(package: str) -> dict[str, str]:
    """Return what a package's ``__init__.py`` imports for type checkers: the public name and its module."""
    path = ROOT / package.replace(".", "/") / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names:
            assert alias.asname == alias.name, f"write {alias.name} as {alias.name}: it is public"
            is_module = node.module == package
            found[alias.name] = f"{package}.{alias.name}" if is_module else node.module
    return found


@pytest.mark.parametrize("package", [tracker, tracker.policies], ids=lambda it: it.__name__)
def test_the_list_is_sorted_and_is_what_type_checkers_see(package: ModuleType) -> None:
    assert package.__all__ == sorted(package.__all__)
    assert typed_names(package.__name__) == package._HOME_OF
    assert list(package._HOME_OF) == package.__all__


@pytest.mark.parametrize("name", tracker.policies.__all__)
def test_a_rule_loads_from_its_module(name: str) -> None:
    assert getattr(tracker.policies, name) is not None


def test_dir_shows_public_names_only() -> None:
    import tracker.storage.database

    assert dir(tracker) == sorted([*tracker.__all__, "__version__"])


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from tracker import *", names)
    assert set(tracker.__all__) <= set(names)


@pytest.mark.parametrize("name", tracker.__all__)
def test_a_public_name_loads_and_says_what_it_is(name: str) -> None:
    assert getattr(tracker, name).__doc__


@pytest.mark.parametrize("package", [tracker, tracker.policies], ids=lambda it: it.__name__)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute 'nonsense'"):
        _ = package.nonsense


def test_importing_tracker_loads_nothing_heavy() -> None:
    code = f"import sys, tracker; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
