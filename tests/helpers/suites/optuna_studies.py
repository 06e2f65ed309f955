"""In the place of the studies that Optuna's suite makes: recorded ones."""

from __future__ import annotations

from functools import wraps
from typing import Any

import optuna
import pytest

from tracker_integrations.optuna import attach


@pytest.fixture(autouse=True)
def _studies_are_recorded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    make = optuna.create_study

    @wraps(make)
    def make_recorded(*args: Any, **kwargs: Any) -> Any:
        study = make(*args, **kwargs)
        attach(study)
        return study

    for place in (optuna, optuna.study, request.module):
        if getattr(place, "create_study", None) is make:
            monkeypatch.setattr(place, "create_study", make_recorded)
