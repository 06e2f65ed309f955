"""In the place of the logger that Ignite's suite makes for itself: TrackerLogger, and its handlers."""

from __future__ import annotations

from typing import Any

from tracker_integrations.ignite import OptimizerParamsHandler, OutputHandler, TrackerLogger


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Change what the names in the modules of the tests stand for."""
    for module in {item.module for item in items}:
        module.DummyLogger = TrackerLogger
        module.DummyOutputHandler = OutputHandler
        module.DummyOptParamsHandler = OptimizerParamsHandler
