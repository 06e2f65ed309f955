"""A training of 40 epochs, killed at random moments and resumed: run by test_resume.py.

Usage: python keras_killed.py FOLDER SEED [SEED …]. Prints one JSON line a seed: what differs from the
same training without interruption, and how often it was killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TRACKER_DATABASE_URL"] = "tracker.db"

import keras
import numpy as np
from sklearn.datasets import load_wine

import tracker_keras as ours

EPOCHS = 40
X, Y = load_wine(return_X_y=True)
X = ((X - X.mean(0)) / X.std(0)).astype("float32")


class Feed(keras.callbacks.Callback):
    """A noisy metric that is the same in every attempt."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        noise = random.Random(seed)
        self.values = [1 / (epoch + 2) + noise.uniform(0, 0.12) for epoch in range(EPOCHS)]

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.values[epoch]


class Digest(keras.callbacks.Callback):
    """Stands last; writes a digest of the weights, and the seconds, while the run has not ended yet."""

    def on_train_begin(self, logs=None):
        self.began = time.monotonic()

    def on_train_end(self, logs=None):
        weights = self.model.get_weights()
        digest = hashlib.sha256(b"".join(np.asarray(w).tobytes() for w in weights))
        Path("weights").write_text(digest.hexdigest())
        Path("took").write_text(str(time.monotonic() - self.began))


def train(seed: int) -> None:
    """Train, or go on."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((13,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
    callbacks = [
        ours.TrackerCallback("kill", name="run", resume="auto"),
        ours.EarlyStopping("score", 0.001, 7, mode="min", restore_best_weights=True),
        ours.ReduceLROnPlateau("score", 0.7, 2, mode="min", cooldown=1),
        ours.LearningRateScheduler(lambda epoch, lr: lr * 0.99),
        ours.ModelCheckpoint("best.weights.h5", "score", 0, True, True, "min"),
        ours.ModelCheckpoint(
            "k/{epoch:02d}.weights.h5", "score", mode="min", save_weights_only=True, keep=2
        ),
        ours.CSVLogger("log.csv"),
        ours.BackupAndRestore("backup"),
    ]
    random.Random(seed).shuffle(callbacks)
    model.fit(
        X[:96], Y[:96], batch_size=32, epochs=EPOCHS, verbose=0, shuffle=False,
        callbacks=[Feed(seed), *callbacks, Digest()],
    )  # fmt: skip


def in_child(folder: Path, seed: int, seconds: float | None) -> bool:
    """Train in a forked process; kill it after ``seconds``. Returns whether it came to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.chdir(folder)
            train(seed)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise SystemExit(f"the training of seed {seed} failed with status {status}")
    return status == 0 or has_ended(folder)


def has_ended(folder: Path) -> bool:
    """Whether the kill came when the run had its status already: "auto" would begin another run."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'tracker.db'}?mode=ro", uri=True)) as reader:
            (status,) = reader.execute("SELECT status FROM run").fetchone() or ("none",)
    except sqlite3.OperationalError:  # killed before there was a database
        return False
    return status in ("finished", "stopped_early")


def files(folder: Path) -> Iterator[Path]:
    """Yield all files, but for the database and what the next training deletes: an ended backup."""
    backup = folder / "backup"
    metadata = backup / "training_metadata.json"
    ended = metadata.exists() and "ended" in json.loads(metadata.read_text())
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).parts[0]
        left = inside.endswith(".deleted") or (ended and inside == "backup")
        if path.is_file() and "tracker.db" not in path.name and not left:
            yield path


def outcome(folder: Path) -> dict[str, object]:
    """Everything that must not depend on the kills."""
    connection = sqlite3.connect(f"file:{folder / 'tracker.db'}?mode=ro", uri=True)
    ask = connection.execute
    return {
        "run": ask("SELECT status, reason, epochs FROM run").fetchall(),
        "epochs": ask(
            "SELECT epoch.epoch, learning_rate, name, value FROM epoch JOIN metric ON epoch_id = "
            "epoch.id WHERE NOT superseded ORDER BY epoch.epoch, name"
        ).fetchall(),
        "decisions": sorted(
            ask(
                "SELECT epoch, kind, policy.config, verdict, value, best, best_epoch, wait, "
                "lr_before, lr_after, reason, path FROM decision JOIN policy ON policy.id = "
                "policy_id WHERE NOT superseded"
            ).fetchall(),
            key=repr,
        ),
        "available": sorted(
            ask("SELECT path, epoch, value FROM checkpoint WHERE state = 'available'").fetchall()
        ),
        "files": sorted(str(path.relative_to(folder)) for path in files(folder)),
        "csv": (folder / "log.csv").read_text(),
        "weights": (folder / "weights").read_text(),
    }


def main() -> None:
    """Compare each seed's killed training with its whole one."""
    root, *seeds = sys.argv[1:]
    for seed in map(int, seeds):
        chance, kills = random.Random(1000 + seed), 0
        whole, killed = Path(root, f"{seed}-whole"), Path(root, f"{seed}-killed")
        in_child(whole, seed, None)
        took = float((whole / "took").read_text())
        while kills < 5 and not in_child(killed, seed, chance.uniform(0.05, 0.6) * took):
            kills += 1
        if kills == 5:
            in_child(killed, seed, None)
        one, other = outcome(whole), outcome(killed)
        differs = {
            name: [repr(one[name])[:2000], repr(other[name])[:2000]]
            for name in one
            if one[name] != other[name]
        }
        print(json.dumps({"seed": seed, "kills": kills, "seconds": took, "differs": differs}))


if __name__ == "__main__":
    main()
