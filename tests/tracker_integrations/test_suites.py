"""The neighbours' own suites pass with ours in the place of theirs: those that their releases ship."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import tracker
from tests.helpers.suites.release import release, run_suite

pytestmark = pytest.mark.timeout(900)


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(package) is None, reason="make test-neighbours")


@needs("ignite")
def test_ignite_s_of_its_loggers() -> None:
    """One is for handlers without a logger, which those of Ignite's own loggers refuse as well."""
    base = "tests/ignite/handlers/test_base_logger.py"
    alone = f"{base}::test_opt_params_handler_on_non_torch_optimizers"
    told = run_suite("pytorch-ignite", base, f"--deselect={alone}", plugin="ignite_loggers")
    assert set(told.values()) == {"passed"}, told
    assert len(told) == 22


@needs("optuna")
def test_optuna_s_of_pruners_and_callbacks() -> None:
    """Left out are a dozen that ask which studies a pruner makes for itself: they take long."""
    pruners, callbacks = "tests/pruners_tests", "tests/test_callbacks.py"
    # Release 4.0 ships only the tests that lie in no folder.
    has_pruners = (release("optuna") / pruners).is_dir()
    suites = [pruners, callbacks] if has_pruners else [callbacks]
    told = run_suite("optuna", *suites, "-k", "not filter_study", plugin="optuna_studies")
    assert set(told.values()) == {"passed"}, told
    if has_pruners:
        assert len(told) > 80
        assert len(tracker.runs(database="suite.db")) > 50


@needs("accelerate")
def test_accelerate_s_of_what_making_a_tracker_does() -> None:
    deferred = "tests/test_tracking.py::TrackerDeferredInitializationTest"
    told = run_suite("accelerate", deferred, plugin="accelerate_trackers")
    assert {one for one in told.values() if not one.startswith("skipped")} == {"passed"}, told
