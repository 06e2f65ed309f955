"""Names that are paths, devices, commands or nothing at all: no effect outside the folder of the data."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

import tracker
from tests.faults.family import Family, Result, share_of
from tests.faults.processes import Place, forks
from tests.helpers.cli import runner
from tracker.cli import program
from tracker_torch import ModelCheckpoint, Training

WORKS = "tests.faults.names"
PARTS = (
    "../", "..\\", "/", "./", "..", ".", "%2f", "%2e%2e%2f", "~", "~root/", "\0", "\n", "\r", "\x1b[2J", ":", "a:b",
    "C:\\", "CON", "nul.txt", "$HOME", "`id`", "$(touch sung)", "; touch sung;", "'; DROP TABLE run; --", "*", "?",
    "-", "--database", "{epoch}", "{name.__class__}", "%(x)s", "%n", "\u202e", "\ufeff", "\ud800", "e\u0301", " ",
    "victim", "tracker.db", ".tracker", "x", "=1+1", "@x", "é", "日本", "a" * 300, "x" * 4000,
)  # fmt: skip
"""What names are put together from."""


def hostile(rng: random.Random, outside: str) -> str:
    """Return a name; some are the path of a file outside."""
    kind = rng.random()
    if kind < 0.1:
        return outside
    if kind < 0.2:
        return "../" * rng.randint(1, 6) + rng.choice(("victim", "work/../victim", "etc/passwd"))
    return "".join(rng.choices(PARTS, k=rng.randint(1, 5)))


def use(names: list[str]) -> None:
    """Use names wherever one is taken, then every command that takes one."""
    torch.set_num_threads(1)
    name, experiment, metric, tag, param, alias = names
    try:
        run = tracker.start_run(
            experiment, name, params={param: name}, tags=[tag], system_metrics=False
        )
    except tracker.TrackerError:
        run = tracker.start_run("fault", "run", system_metrics=False)
    with run:
        for call in (
            lambda: run.log({metric: 1.0}),
            lambda: run.log_epoch(0, {metric: 1.0, "loss": 0.5}),
            lambda: run.define_metric(metric, "max"),
            lambda: run.log_params({param: name}),
            lambda: run.set_tags({tag: alias}),
            lambda: run.add_policy(alias, monitor=metric, config={param: name}),
            lambda: _train(run),
        ):
            with suppress(tracker.TrackerError):
                call()
    for words in (
        ("runs", "list"), ("runs", "show", name), ("runs", "show", run.id), ("runs", "tag", run.id, tag),
        ("runs", "note", run.id, alias), ("runs", "rename", run.id, name), ("export", name),
        ("export", run.id, "--csv"), ("metrics", run.id), ("params",), ("plot", run.id, metric),
        ("checkpoints", "list", name), ("checkpoints", "restore", name, alias), ("runs", "list", "--sort", metric),
        ("runs", "list", "--where", f"name = '{name}'"), ("runs", "delete", run.id, "--files", "--yes"),
    ):  # fmt: skip
        done = runner().invoke(program, list(words))
        assert done.exception is None or isinstance(done.exception, SystemExit), (
            f"{words[:2]} raised {done.exception!r}"
        )
        assert "\x1b[2J" not in done.output, f"{words[:2]} clears the terminal"


def _train(run: tracker.Run) -> None:
    """Train an epoch, with files that are named after the run."""
    model = nn.Linear(1, 1)
    callbacks = [ModelCheckpoint("{experiment}/{name}-{epoch}.pt")]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    training = Training(model, optimizer, 1, callbacks=callbacks, run=run, progress=False)
    for _ in training.epochs():
        training.log_epoch(val_loss=1.0)


def hostile_names(folder: Path, share: float, rng: random.Random) -> Result:
    """A run, its experiment, metrics, tags, params and policies have such names, and all commands are given them."""
    result = Result()
    with forks(folder, WORKS) as starting:
        starting.warm_up(f"{WORKS}:use", names=["name"] * 6)
        for number in range(share_of(100, share)):
            with Place(folder / str(number)) as place:
                outside = place.folder / "victim"
                outside.write_text("victim")
                names = [hostile(rng, str(outside)) for _ in range(6)]
                with result.trial(f"{number}, {[name[:40] for name in names]}"):
                    answer = starting.start(place, f"{WORKS}:use", given={"names": names})
                    assert answer["code"] == 0, place.raised()
                    check_outside(folder, place)
                result.count("names", len(names))
    return result


def check_outside(folder: Path, place: Place) -> None:
    """Nothing is beside the folder of the work but what was; in it is nothing but the data and the checkpoints."""
    assert (place.folder / "victim").read_text() == "victim"
    assert {path.name for path in place.folder.iterdir()} <= {"work", "victim", "log"}
    assert {path.name for path in folder.iterdir()} <= {"calls.so", place.folder.name}
    assert not list(place.folder.rglob("sung"))
    inside = {path for path in place.work.rglob("*") if path.is_file()}
    assert all(path.suffix == ".pt" or ".tracker" in path.parts for path in inside), inside


FAMILIES = [
    Family(
        "S1",
        "names that are paths, devices, commands or escapes, for whatever has a name",
        "10",
        100,
        0.02,
        hostile_names,
        minutes=2.5,
    )
]
