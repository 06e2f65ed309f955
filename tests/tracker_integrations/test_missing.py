"""A neighbour that is not installed: a sentence with the command, and nothing is loaded."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from tests.helpers import ROOT

NEIGHBOURS = {
    "keras_tuner": "keras_tuner",
    "sklearn": "sklearn",
    "accelerate": "accelerate",
    "catboost": "catboost",
    "fastai": "fastai",
    "hydra": "hydra",
    "ignite": "ignite",
    "lightgbm": "lightgbm",
    "lightning": "lightning",
    "optuna": "optuna",
    "pytorch_lightning": "pytorch_lightning",
    "ray": "ray",
    "skorch": "skorch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}
"""By module of ours: the package that it needs. The extra is called like the module, but for `EXTRAS`."""
EXTRAS = {
    "keras_tuner": "keras-tuner",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
}


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_it_says_what_to_install(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = NEIGHBOURS[module]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, f"tracker_integrations.{module}", raising=False)
    with pytest.raises(ImportError) as raised:
        import_module(f"tracker_integrations.{module}")
    extra = EXTRAS.get(module, module)
    assert str(raised.value) == (
        f"{package} is not installed, which this module of tracker_integrations records: "
        f"pip install 'local-tracker[{extra}]'"
    )


@pytest.mark.parametrize("module", NEIGHBOURS)
def test_there_is_such_an_extra(module: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert EXTRAS.get(module, module) in extras


def test_none_costs_anything_until_it_is_imported() -> None:
    code = (
        "import sys, tracker, tracker_integrations;"
        f"print([name for name in {sorted(NEIGHBOURS.values())} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}"},
    )
    assert done.stdout == "[]\n"
