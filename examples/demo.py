"""Train six models on scikit-learn's digits, then look at what was recorded: ``make demo``.

Three Keras and three PyTorch runs that differ in learning rate and width, each with early stopping and
checkpoints. Everything goes to ./demo: the database, the checkpoints, a CSV and a picture.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

FOLDER = Path("demo")
EPOCHS = 40
PATIENCE = 4


@dataclass(frozen=True)
class Setting:
    """What one run is trained with."""

    framework: str
    learning_rate: float
    width: int

    @property
    def name(self) -> str:
        """The run's name."""
        return f"{self.framework}-lr{self.learning_rate:g}-w{self.width}"

    @property
    def params(self) -> dict[str, Any]:
        """The run's hyperparameters."""
        return {"framework": self.framework, "lr": self.learning_rate, "width": self.width}


SETTINGS = [
    Setting(framework, rate, width)
    for framework in ("keras", "torch")
    for rate, width in ((3e-2, 32), (3e-3, 64), (3e-4, 128))
]

Report = Callable[[int], None]


def load_digits() -> tuple[Any, Any, Any, Any]:
    """Return 1 797 images of 8 × 8 pixels as training and validation data, float32 in 0…1."""
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    x, y = load(return_X_y=True)
    x = (x / 16.0).astype("float32")
    return tuple(train_test_split(x, y.astype("int64"), test_size=0.25, random_state=0, stratify=y))


def train_keras(
    setting: Setting, data: Any, report: Report, epochs: int = EPOCHS
) -> dict[str, list[float]]:
    """Train a Keras model; returns what its History holds."""
    import keras

    from tracker_keras import EarlyStopping, LambdaCallback, ModelCheckpoint, TrackerCallback

    keras.utils.set_random_seed(7)
    x, x_val, y, y_val = data
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(setting.width, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(setting.learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        x,
        y,
        batch_size=32,
        epochs=epochs,
        validation_data=(x_val, y_val),
        verbose=0,
        callbacks=[
            TrackerCallback(experiment="digits", name=setting.name, params=setting.params),
            EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True),
            ModelCheckpoint(f"checkpoints/{setting.name}.keras", save_best_only=True),
            LambdaCallback(on_epoch_end=lambda epoch, logs: report(epoch)),
        ],
    )
    return dict(history.history)


def train_torch(
    setting: Setting, data: Any, report: Report, epochs: int = EPOCHS
) -> dict[str, list[float]]:
    """Train a PyTorch model in a loop of its own; returns what its History holds."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    from tracker_torch import EarlyStopping, ModelCheckpoint, Training

    torch.manual_seed(7)
    torch.set_num_threads(1)  # layers this small are slower on more
    x, x_val, y, y_val = map(torch.from_numpy, data)
    model = nn.Sequential(nn.Linear(64, setting.width), nn.ReLU(), nn.Linear(setting.width, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=setting.learning_rate)
    loss_of = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    with Training(
        model,
        optimizer,
        epochs=epochs,
        experiment="digits",
        name=setting.name,
        params=setting.params,
        progress=False,
        callbacks=[
            EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True),
            ModelCheckpoint(f"checkpoints/{setting.name}.pt", save_best_only=True),
        ],
    ) as training:
        for epoch in training.epochs():
            for inputs, labels in training.batches(loader):
                optimizer.zero_grad()
                outputs = model(inputs)
                loss = loss_of(outputs, labels)
                loss.backward()
                optimizer.step()
                training.log(loss=loss, accuracy=(outputs.argmax(1) == labels).float().mean())
            with torch.no_grad():
                outputs = model(x_val)
                training.log_epoch(
                    val_loss=loss_of(outputs, y_val),
                    val_accuracy=(outputs.argmax(1) == y_val).float().mean(),
                )
            report(epoch)
    return dict(training.history.history)


TRAINERS = {"keras": train_keras, "torch": train_torch}


def train_all(epochs: int = EPOCHS) -> dict[str, dict[str, list[float]]]:
    """Train every setting, with a progress bar; returns the histories by run name."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    data, histories = load_digits(), {}
    console = Console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for setting in SETTINGS:
            task = progress.add_task(f"{setting.name:<20}", total=epochs)
            started = time.monotonic()
            histories[setting.name] = history = TRAINERS[setting.framework](
                setting,
                data,
                lambda epoch, task=task: progress.update(task, completed=epoch + 1),
                epochs,
            )
            if not console.is_terminal:
                done = len(history["val_loss"])
                print(
                    f"trained {setting.name:<20} {done:3d} epochs  {time.monotonic() - started:5.1f} s",
                    flush=True,
                )
    return histories


def show(*command: str) -> None:
    """Run a command as a user would, with the command itself above its output."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    subprocess.run([Path(sys.executable).with_name(command[0]), *command[1:]], check=True)


def main() -> None:
    """Train, then ask."""
    import tracker

    if FOLDER.exists():
        shutil.rmtree(FOLDER)
        print("The earlier demo in ./demo was removed.")
    (FOLDER / ".tracker").mkdir(mode=0o700, parents=True)  # this folder's own database
    os.chdir(FOLDER)
    print("Training six models on scikit-learn's digits; everything is recorded in demo/.tracker.")
    train_all()

    runs = tracker.runs(order_by="val_loss")
    best = runs["name"].iloc[0]
    # Of the same framework: only what was chosen differs.
    alike = runs[runs["params.framework"] == runs["params.framework"].iloc[0]]
    second = alike["name"].iloc[1]
    show("tracker", "runs", "list", "--sort", "val_loss")
    show("tracker", "runs", "best", "digits")
    show("tracker", "runs", "show", best)
    show(
        "tracker",
        "runs",
        "compare",
        best,
        second,
        "--metric",
        "val_loss",
        "--metric",
        "val_accuracy",
    )
    show("tracker", "decisions", "list", best, "--where", "verdict in ('stopped', 'restored')")
    show("tracker", "decisions", "replay", "--patience", "1..8", "--curve", "--png", "tradeoff.png")
    show("tracker", "export", best, "--csv", "-o", "best.csv")
    names = [setting.name for setting in SETTINGS]
    show("tracker", "plot", *names, "--metric", "val_loss", "--log", "-o", "curves.png")
    print(
        f"""
Written: demo/best.csv (its epochs, as Keras' CSVLogger would have), demo/curves.png (all curves) and
demo/tradeoff.png (what each patience would have saved and cost).

Try next, in the folder demo (PATH="$PWD/.venv/bin:$PATH"; cd demo):
  tracker runs list --where "params.width >= 64 and val_loss < 0.2"
  tracker checkpoints list {best}
  tracker decisions replay {best} --patience 1..8
  tracker epochs list {best} --format csv
  python -c 'import tracker; print(tracker.compare("{best}", "{second}", metric="val_loss"))'
Your own training: one more callback in fit, or a few lines around your loop. See docs/quickstart.md."""
    )


if __name__ == "__main__":
    main()
