"""``keras-3.15`` is also what Keras does on TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

HERE = Path(__file__).resolve()
FEWER = {"KERAS_BACKEND": "tensorflow", "TRACKER_TEST_SERIES": "60", "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.mark.tensorflow
@pytest.mark.xdist_group("tensorflow")
def test_on_tensorflow():
    """Fewer series, the same comparison, in a process of its own."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    inherited = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    same = HERE.with_name("test_keras_differential.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(same)],
        env=inherited | FEWER,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "passed" in done.stdout
