"""The public API is one sorted list; whatever is in it loads, is told apart from the rest, and says what it is."""

from __future__ import annotations

import inspect
import types

import pytest

import tracker


def test_the_list_is_sorted_and_complete() -> None:
    assert tracker.__all__ == sorted(tracker.__all__)
    assert set(tracker.__all__) == set(tracker._HOMES)
    assert len(tracker.__all__) == len(set(tracker.__all__))


@pytest.mark.parametrize("name", tracker.__all__)
def test_every_name_loads_and_has_a_docstring(name: str) -> None:
    found = getattr(tracker, name)
    assert inspect.getdoc(found)
    assert not isinstance(found, types.ModuleType) or name == "policies"
    assert name in dir(tracker)


@pytest.mark.parametrize("name", ["Run", "Policy", "Checkpoint", "SavedFile"])
def test_every_public_method_has_a_docstring(name: str) -> None:
    for method, found in inspect.getmembers(getattr(tracker, name)):
        if not method.startswith("_") and callable(found):
            assert inspect.getdoc(found), method


def test_every_function_is_annotated() -> None:
    for name in tracker.__all__:
        found = getattr(tracker, name)
        if inspect.isfunction(found):
            given = set(inspect.signature(found).parameters) | {"return"}
            assert given <= set(found.__annotations__) | {"self"}, name


def test_the_errors_are_one_tree() -> None:
    for name in tracker.__all__:
        found = getattr(tracker, name)
        if inspect.isclass(found) and issubclass(found, Exception):
            assert issubclass(found, tracker.TrackerError), name
            assert found.exit_code == (2 if issubclass(found, tracker.UsageError) else 1)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="start_runn"):
        tracker.start_runn  # noqa: B018


def test_a_star_import_brings_the_list() -> None:
    found: dict[str, object] = {}
    exec("from tracker import *", found)
    assert set(tracker.__all__) <= set(found)
