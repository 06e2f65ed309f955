"""The databases that the views are made of: one of every kind of run, and one of ten thousand."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert, update

from tests.cli.golden.story import NOW, Story, curve
from tracker import policies, values
from tracker.models import ATTEMPT, EPOCH, METRIC, PARAM, RUN, SUMMARY
from tracker.states import RunStatus
from tracker.storage import journal
from tracker.storage.database import Database, locate
from tracker.storage.prepare import prepare

SCRIPTS = {
    "Latin": "naïve-café-Ångström",
    "Greek": "εποχή-7",
    "Cyrillic": "обучение-сети",
    "Arabic": "تدريب-الشبكة",
    "Hebrew": "אימון-רשת",
    "Devanagari": "प्रशिक्षण-क्षि",
    "Thai": "การฝึกอบรม",
    "Chinese": "训练神经网络",
    "Japanese": "ディープラーニング",
    "Korean": "신경망-학습",
    "combining": "e\u0301te\u0301-a\u0308\u0323",
    "zero width": "zero\u200bwidth\u200d\u2060\ufeff",
    "right to left override": "safe\u202egnp.exe",
    "bidi isolates": "a\u2067b\u2069\u061cc",
    "control characters": "bell\x07esc\x1b[31mred\x1b[0m\x9b1m",
    "lines and tabs": "two\nlines\tand\rtabs\u2028more\x85",
    "emoji": "🚀-launch",
    "emoji sequence": "👩\u200d🔬-lab-🏳️\u200d🌈-❤️",
    "full width": "ＦＵＬＬ-ｶﾞ",
    "mathematics": "∇²φ≤½",
}
"""What a run may be called: by what is in the name."""

LONG_NAME = (
    "vit-base-patch16-224-augreg-in21k-finetuned-on-digits-with-mixup-and-label-smoothing-0.1"
)


def record(folder: Path) -> None:
    """Write the database of all kinds of runs, and their files, below a folder."""
    _write(folder, [*_digits(folder), *_others(folder), *_scripts()])


def _write(folder: Path, stories: list[Story]) -> None:
    location = locate(folder / ".tracker" / "tracker.db")
    prepare(location)
    with Database(location).transaction() as connection:
        for story in stories:
            journal.apply(connection, story.entries)
            columns = {"started": story.started, **story.columns}
            connection.execute(update(RUN).where(RUN.c.id == story.id).values(columns))


def _digits(folder: Path) -> Iterator[Story]:
    """Give six runs such as those of the demo."""
    settings = [
        ("keras", 0.03, 32, 0.9, 0.013), ("keras", 0.003, 64, 0.35, 0.002), ("keras", 0.0003, 128, 0.09, 0.0),
        ("torch", 0.03, 32, 1.1, 0.017), ("torch", 0.003, 64, 0.4, 0.001), ("torch", 0.0003, 128, 0.1, 0.0),
    ]  # fmt: skip
    for place, (framework, rate, width, fall, overfit) in enumerate(settings):
        name = f"{framework}-lr{rate:g}-w{width}"
        story = Story(f"d{place}0a1b2c3d4e", name, "digits", ago=30 - 4 * place)
        story.params(framework=framework, lr=rate, width=width, batch_size=32, shuffle=True)
        story.captured(fit={"batch_size": 32, "epochs": 40})
        if place == 4:
            story.tags({"team": "vision", "keep": ""})
            story.columns |= {"note": "with the cleaned labels", "price_per_hour": 2.4}
        _train(story, folder, rate, fall, overfit)
        yield story


def _train(story: Story, folder: Path, rate: float, fall: float, overfit: float) -> None:
    """Train forty epochs, with early stopping, a plateau and the best file kept."""
    stopping = policies.EarlyStopping("val_loss", patience=4)
    plateau = policies.ReduceLROnPlateau("val_loss", factor=0.5, patience=2)
    stop_id = story.policy(0, "EarlyStopping", "val_loss", patience=4, min_delta=0.0, mode="min")
    plateau_id = story.policy(
        1, "ReduceLROnPlateau", "val_loss", patience=2, factor=0.5, mode="min"
    )
    path = f"checkpoints/{story.name}.keras"
    save_id = story.policy(
        2, "ModelCheckpoint", "val_loss", filepath=path, save_best_only=True, mode="min"
    )
    stop_state, plateau_state = stopping.initial(), plateau.initial()
    for epoch in range(40):
        loss = curve(epoch, fall, 0.09, overfit)
        metrics = {
            "loss": round(loss * 0.8 - overfit * epoch, 6),
            "accuracy": round(1 - loss / 4, 6),
            "val_loss": loss,
            "val_accuracy": round(1 - loss / 3.5, 6),
            "learning_rate": rate,
        }
        story.epoch(epoch, metrics, seconds=1.2 + 0.1 * (epoch % 3))
        stop_state, verdict = stopping.step(stop_state, epoch, loss)
        story.decide(stop_id, verdict)
        plateau_state, change = plateau.step(plateau_state, epoch, loss, rate)
        rate = change.lr_after or rate
        story.decide(plateau_id, change)
        if verdict.improved:
            reason = f"val_loss improved to {loss:.6g}"
            saved = policies.Verdict(
                "saved", reason, epoch, "val_loss", loss, loss, epoch, improved=True
            )
            story.decide(save_id, saved, path=path)
            story.save(
                folder, path, 187_000 + 1000 * epoch, epoch=epoch, value=loss, policy=save_id
            )
        if verdict.stop:
            best = stop_state.best_epoch
            restored = policies.Verdict(
                "restored", f"weights of epoch {best} restored", epoch, "val_loss", loss, stop_state.best, best
            )  # fmt: skip
            story.decide(stop_id, restored)
            story.end(RunStatus.STOPPED_EARLY, reason="EarlyStopping")
            return
    story.end(RunStatus.FINISHED)


def _others(folder: Path) -> Iterator[Story]:
    """Give runs of every status and shape."""
    yield Story("a10000000001", "nothing-logged", "scratch", ago=200).end(RunStatus.FINISHED)

    failed = Story("a20000000002", "wide-and-deep", "scratch", ago=150).params(lr=10.0)
    failed.epoch(0, {"loss": math.nan, "val_loss": math.inf, "grad": -math.inf}, seconds=95)
    yield failed.end(
        RunStatus.FAILED,
        error="ValueError: Input X contains NaN.\nLogisticRegression does not accept missing values.",
    )

    lost = Story("a30000000003", "overnight", "scratch", ago=100).params(lr=0.01)
    for epoch in range(3):
        lost.epoch(epoch, {"loss": 1 / (epoch + 1), "val_loss": 1.2 / (epoch + 1)}, seconds=5400)
    lost.entries.append({**lost.entries[1], "values": {"heartbeat": lost.clock}})  # type: ignore[typeddict-item, misc]
    yield lost

    resumed = Story("a40000000004", "resumed-twice", "scratch", ago=90)
    resumed.params(lr=0.01, opt={"name": "adamw", "betas": [0.9, 0.999]})
    for epoch in range(4):
        resumed.epoch(
            epoch, {"loss": 1.5 / (epoch + 1), "val_loss": 1.6 / (epoch + 1)}, seconds=610
        )
    resumed.end(RunStatus.INTERRUPTED, error="KeyboardInterrupt").resume(after=2).params(lr=0.005)
    for epoch in range(3, 6):
        resumed.epoch(
            epoch, {"loss": 1.4 / (epoch + 1), "val_loss": 1.5 / (epoch + 1)}, seconds=590
        )
    yield resumed.end(RunStatus.FINISHED)

    parent = Story("a50000000005", "sweep", "sweep", ago=60)
    yield parent.end(RunStatus.FINISHED)
    for place, dropout in enumerate((0.0, 0.1, 0.5)):
        child = Story(f"a5{place}000000001", f"sweep-{place}", "sweep", ago=59 - place)
        child.columns["parent_id"] = parent.id
        child.params(dropout=dropout, seed=place, augment=place != 1)
        yield child.epoch(0, {"val_accuracy": 0.81 + dropout / 10}).end(RunStatus.FINISHED)

    long = Story("a60000000006", LONG_NAME, "an-experiment-with-a-name-that-is-long", ago=12)
    long.params(prompt="You are a helpful assistant. " * 20, layers=list(range(40)), lr=1e-5)
    long.tags({"reviewer": "Ada Lovelace, of the Analytical Engine"})
    long.epoch(0, {"evaluation/of the validation set/mean average precision": 0.123456789})
    long.save(folder, f"models/{'nested/' * 8}{LONG_NAME}.safetensors", 2_300_000, epoch=0)
    yield long.end(RunStatus.FINISHED)

    steps = Story("a70000000007", "llama-sft", "language", ago=3).params(lr=2e-5, seq_len=4096)
    count = 1200
    loss = [2.5 * math.exp(-n / 400) + 0.8 + 0.05 * math.sin(n) for n in range(count)]
    steps.steps({"train/loss": loss, "train/tokens": [4096.0 * n for n in range(count)]}, every=6.0)
    steps.steps(
        {
            "system/cpu_percent": [40 + n % 7 for n in range(480)],
            "system/memory_bytes": [3.1e9 + 1e6 * n for n in range(480)],
            "system/gpu0_percent": [97 - n % 4 for n in range(480)],
            "system/gpu0_watts": [310 + n % 9 for n in range(480)],
        },
        every=15.0,
    )
    yield steps.running()

    live = Story("a80000000008", "resnet50", "imagenet", ago=5).params(lr=0.1, epochs=90)
    live.captured(fit={"epochs": 90})
    live.policy(0, "EarlyStopping", "val_top1", patience=10, mode="max")
    for epoch in range(11):
        live.epoch(
            epoch, {"loss": 6 / (epoch + 2), "val_top1": 0.6 - 0.5 / (epoch + 1)}, seconds=1510
        )
    yield live.running()


def _scripts() -> Iterator[Story]:
    for place, name in enumerate(SCRIPTS.values()):
        story = Story(f"b{place:02}000000000", name, "scripts", ago=400 + place)
        story.params(note=name, lr=0.1 * (place + 1)).tags({"tag": name})
        story.epoch(0, {"val_loss": 0.5 + place / 100}).end(RunStatus.FINISHED)
        if place == 0:
            story.entries[-1:-1] = (
                Story(story.id, name, "scripts", ago=400).epoch(1, {"pérte": 0.25}).entries[-1:]
            )
        yield story


def record_many(folder: Path, count: int = 10_000) -> None:
    """Write a database of many short runs below a folder, as rows: four experiments, two params, two metrics."""
    location = locate(folder / ".tracker" / "tracker.db")
    prepare(location)
    runs, attempts, params, epochs, metrics, summaries = ([] for _ in range(6))  # type: ignore[var-annotated]
    captured = json.dumps({})
    for n in range(count):
        id, started = f"c{n:011x}", NOW - (count - n) * 600_000_000
        best = round(0.2 + (n * 7919 % 1000) / 1000, 6)
        runs.append(
            {
                "id": id, "name": f"run-{n}", "experiment": f"grid-{n % 4}", "status": "finished",
                "started": started, "ended": started + 60_000_000, "seconds": 60.0, "epochs": 1,
            }
        )  # fmt: skip
        attempts.append(
            {
                "id": f"e{n:011x}", "run_id": id, "number": 1, "status": "finished", "started": started,
                "heartbeat": started, "host": "node-7", "boot_id": "golden", "pid_namespace": "", "pid": 1,
                "process_started": 1.0, "captured": captured, "spooled": 0, "dropped": 0, "waited": 0.0,
            }
        )  # fmt: skip
        for name, value in (("lr", 10.0 ** -(n % 5)), ("seed", n % 10)):
            kind, text, number = values.param_encode(value)
            params.append(
                {"run_id": id, "name": name, "kind": kind, "text": text, "number": number}
            )
        epochs.append(
            {
                "id": n + 1, "run_id": id, "attempt": 1, "epoch": 0, "started": started, "seconds": 60.0,
                "superseded": False,
            }
        )  # fmt: skip
        for position, (name, value) in enumerate((("loss", best / 2), ("val_loss", best))):
            metrics.append(
                {
                    "epoch_id": n + 1, "name": name, "position": position, "value": value,
                    "value_kind": "finite",
                }
            )  # fmt: skip
            summaries.append(
                {
                    "run_id": id, "name": name, "last": value, "last_kind": "finite", "last_epoch": 0,
                    "min": value, "min_epoch": 0, "max": value, "max_epoch": 0,
                }
            )  # fmt: skip
    with Database(location).transaction() as connection:
        for table, rows in (
            (RUN, runs), (ATTEMPT, attempts), (PARAM, params), (EPOCH, epochs), (METRIC, metrics),
            (SUMMARY, summaries),
        ):  # fmt: skip
            connection.execute(insert(table), rows)
