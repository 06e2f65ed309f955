"""Families that an ordinary test or program tries already: it is run with the full count."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.family import Family, Result, share_of
from tests.helpers import ROOT

STEPS = 12
"""Of each sequence."""


def sequences(folder: Path, share: float, rng: random.Random) -> Result:
    """Random sequences of what people do with checkpoints, against a model of 30 lines."""
    result = Result(tried=share_of(10_000, share))
    seed = rng.randrange(10**6)
    options = ("--count", str(result.tried), "--steps", str(STEPS), "--seed", str(seed))
    done = _run("-m", "tests.registry", *options, TMPDIR=str(folder))
    lines = done.stdout.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("-- sequence"):
            result.violations.append(f"{line[3:]}: {lines[number + 1]}")
    if done.returncode and not result.violations:
        result.violations.append(done.stderr[-500:])
    result.facts = {"steps each": STEPS}
    return result


def tests(names: tuple[str, ...], folder: Path, share: float, rng: random.Random) -> Result:
    """Run tests; each is a trial."""
    result = Result()
    report = folder / "report.xml"
    temporary = ("--basetemp", str(folder / "tests"), "-p", "no:cacheprovider")
    done = _run("-m", "pytest", *temporary, f"--junitxml={report}", *names)
    if not report.exists():
        result.violations.append(done.stdout[-500:] + done.stderr[-500:])
        return result
    for case in ElementTree.parse(report).iter("testcase"):
        result.tried += 1
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                result.violations.append(f"{case.get('name')}: {found.get('message')}")
        if case.find("skipped") is not None:
            result.tried -= 1
            result.count("not tried")
    return result


def _run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    environment = {**os.environ, "PYTHONPATH": paths, **variables}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip


SCHEMAS = (
    "tests/storage/test_migrate.py",
    "tests/storage/test_postgres.py::test_the_schema_is_that_of_the_models",
)
TRAININGS = (
    "tests/tracker_keras/test_second_fit.py",
    "tests/tracker_keras/test_ownership.py::test_a_callback_that_evaluates_is_not_the_training",
    "tests/tracker_keras/test_runs.py::test_copies",
    "tests/tracker_keras/test_runs.py::test_a_copy_of_a_lambda_callback_records_its_own_training",
    "tests/tracker_keras/test_runs.py::test_evaluate_inside_fit",
    "tests/tracker_keras/test_background.py::test_a_second_fit_and_a_copy_go_on",
    "tests/tracker_torch/test_callbacks.py::test_callbacks_can_be_copied_and_pickled_while_they_train",
    "tests/tracker_torch/test_identity.py",
)

FAMILIES = [
    Family(
        "C2",
        "random sequences of saving, pruning, pinning, moving, deleting, resuming and restoring, compared with a "
        "reference model of 30 lines",
        "4, 5",
        10_000,
        0.0004,
        sequences,
        minutes=25.0,
    ),
    Family(
        "M1",
        "databases of every released schema are upgraded, and compared row by row and with the table definitions, "
        "on SQLite and PostgreSQL",
        "9",
        None,
        1.0,
        partial(tests, SCHEMAS),
        minutes=0.5,
    ),
    Family(
        "X5",
        "`evaluate` within `fit`, `fit` twice, copies and pickles of callbacks",
        "2, 6",
        None,
        1.0,
        partial(tests, TRAININGS),
        minutes=2.0,
    ),
]
