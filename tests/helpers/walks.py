"""Walks through the code, as a process takes them: which modules one action enters, in which order.

``python -m tests.helpers.walks NAME`` takes one walk in the current folder and prints it as JSON;
`take` does that in a process of its own. docs/architecture.md lists what comes out.

What counts as entering a module is a call of a function that is written in it: of a method, a
generator or a lambda too, but not what runs while a module is imported. A walk *turns back* where a
module is entered from below, that is while a function of it waits for a call that led through
another module (A calls B, B calls A); and where a module of ``tracker`` calls one to its right
of it in `tests.helpers.architecture.ORDER`, which no import allows. A lambda or an inner function
that was handed down is not a turn: it is read where it stands, in the text of its caller.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import tracker
from tests.helpers import ROOT
from tests.helpers.architecture import ORDER

TIER = {name: tier for tier, names in enumerate(ORDER) for name in names}
WORKER = "tracker.worker"
"""Makes calls that it was handed, as a pool of threads does: each of them begins a walk of its own."""
SOURCES = ((ROOT, "tracker"), (ROOT / "adapters", "tracker_"))


@dataclass
class Walk:
    """What one action enters."""

    modules: list[str] = field(default_factory=list)
    """In the order in which they are entered for the first time."""
    turns: list[str] = field(default_factory=list)
    """Each way on which control came back into a module from below, or was called from its left."""


class Tracer:
    """Follows the calls of every thread that is started after it was made."""

    def __init__(self) -> None:
        self.walk = Walk()
        self._following = False
        self._names: dict[str, str | None] = {}
        threading.setprofile(self._called)
        sys.setprofile(self._called)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Note what is entered inside the block."""
        self.follow(True)
        try:
            yield
        finally:
            self.follow(False)

    def follow(self, on: bool) -> None:
        """Note what is entered from here on, or no longer."""
        self._following = on

    def _called(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not self._following:
            return
        module = self._module(frame)
        if module is None or (callers := self._callers(frame)) is None:
            return
        if module not in self.walk.modules:
            self.walk.modules.append(module)
        function = frame.f_code.co_qualname
        back = None if "<locals>" in function else turn([module, *callers])
        if back is not None and (way := f"{back} ({function})") not in self.walk.turns:
            self.walk.turns.append(way)

    def _callers(self, frame: FrameType) -> list[str] | None:
        """Return the modules that the call came through, nearest first; None while one is imported."""
        callers = []
        caller: FrameType | None = frame
        while caller is not None:
            module = self._module(caller)
            if module == WORKER and caller is not frame:
                break
            if module is not None:
                if caller.f_code.co_name == "<module>":
                    return None
                callers.append(module)
            caller = caller.f_back
        return callers[1:]

    def _module(self, frame: FrameType) -> str | None:
        file = frame.f_code.co_filename
        if file not in self._names:
            self._names[file] = _module_of(Path(file))
        return self._names[file]


def _module_of(file: Path) -> str | None:
    """Return the dotted name of a file of ours, None for any other."""
    for root, beginning in SOURCES:
        if file.is_relative_to(root):
            parts = file.relative_to(root).with_suffix("").parts
            if parts[0].startswith(beginning):
                return ".".join(part for part in parts if part != "__init__")
    return None


def turn(way: list[str]) -> str | None:
    """Say where a call turns back; ``way`` is the module called, its caller, the caller's caller, …"""
    called, *callers = way
    if not callers or called == callers[0]:
        return None
    if called in callers:
        back = [called, *callers[: callers.index(called) + 1]]
        return " → ".join(
            reversed([name for name, after in pairwise([*back, ""]) if name != after])
        )
    if _tier(called) > _tier(callers[0]):
        return f"{callers[0]} → {called}, to its right"
    return None


def _tier(module: str) -> int:
    """Return the place of a module in the order; adapters stand to the right of everything."""
    package, *parts = module.split(".")
    return TIER[parts[0] if parts else "__init__"] if package == "tracker" else len(ORDER)


def step_metric(tracer: Tracer) -> None:
    """Take `Run.log`, up to the row that the writer thread commits."""
    with tracker.start_run("walks") as run:
        run.log({"loss": 1.0})
        _wait_for_series(1)
        with tracer.following():
            run.log({"accuracy": 0.5})
            _wait_for_series(2)


def _wait_for_series(number: int) -> None:
    """Wait until another process would see so many series."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(".tracker/tracker.db")) as connection,
        ):
            if connection.execute("SELECT count(*) FROM series").fetchone() == (number,):
                return
        time.sleep(0.05)
    raise TimeoutError("The writer thread has not committed the step metric.")


def epoch(tracer: Tracer) -> None:
    """Take `Run.log_epoch`."""
    with tracker.start_run("walks") as run:
        run.log_epoch(0, {"loss": 1.0})
        with tracer.following():
            run.log_epoch(1, {"loss": 0.5})


def verdict(tracer: Tracer) -> None:
    """Take `Policy.decide`, with what a rule of `tracker.policies` found."""
    with tracker.start_run("walks") as run:
        policy = run.add_policy("EarlyStopping", monitor="loss")
        policy.decide("improved", epoch=0, reason="loss 1 is the first value")
        with tracer.following():
            policy.decide("waited", epoch=1, reason="loss 1 did not beat 1; 1 of 3 waits")


def checkpoint(tracer: Tracer) -> None:
    """Take `Run.save_checkpoint`, over an earlier file of that name."""
    with tracker.start_run("walks") as run:
        run.save_checkpoint("best.bin", lambda path: path.write_bytes(b"first"), epoch=0)
        with tracer.following():
            run.save_checkpoint("best.bin", lambda path: path.write_bytes(b"second"), epoch=1)


def listing(tracer: Tracer) -> None:
    """Take `tracker runs list --sort loss`."""
    from tracker.cli import main

    run = "import tracker; tracker.start_run('walks').log_epoch(0, {'loss': 1.0})"
    subprocess.run([sys.executable, "-c", run], check=True)
    with suppress(SystemExit), tracer.following():
        main(["runs", "list", "--sort", "loss"])


def resume(tracer: Tracer) -> None:
    """Take `start_run(resume=…)` of a run that failed."""
    with suppress(RuntimeError), tracker.start_run("walks", "again") as run:
        run.log_epoch(0, {"loss": 1.0})
        raise RuntimeError("out of luck")
    with tracer.following():
        run = tracker.start_run("walks", resume="again")
    run.finish()


def keras_verdict(tracer: Tracer) -> None:
    """Take the end of an epoch in EarlyStopping of `tracker_keras`."""
    import keras
    import numpy as np

    from tracker_keras import EarlyStopping

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    stopper = EarlyStopping("loss", patience=5)
    begin = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: tracer.follow(epoch == 1)
    )
    end = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: tracer.follow(False))
    ones = np.ones((4, 1))
    model.fit(ones, ones, epochs=2, verbose=0, callbacks=[begin, stopper, end])


def torch_verdict(tracer: Tracer) -> None:
    """Take the end of an epoch with EarlyStopping of `tracker_torch`."""
    import torch

    from tracker_torch import EarlyStopping, Training

    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    callbacks = [EarlyStopping("loss", patience=5)]
    with Training(net, optimizer, epochs=2, experiment="walks", callbacks=callbacks) as training:
        for number in training.epochs():
            tracer.follow(number == 1)
            training.log_epoch(loss=1.0)
            tracer.follow(False)


WALKS: dict[str, Callable[[Tracer], None]] = {
    "a step metric": step_metric,
    "an epoch": epoch,
    "a verdict": verdict,
    "a checkpoint": checkpoint,
    "a listing": listing,
    "a resume": resume,
    "a Keras verdict": keras_verdict,
    "a PyTorch verdict": torch_verdict,
}


def take(name: str) -> Walk:
    """Take a walk in a process and a folder of its own."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.helpers.walks", name],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths, "KERAS_BACKEND": "torch"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"The walk {name} failed:\n{done.stderr}")
    return Walk(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    tracer = Tracer()
    WALKS[sys.argv[1]](tracer)
    print(json.dumps(asdict(tracer.walk)))
