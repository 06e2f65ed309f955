"""Write the pictures of ui.md: ``python docs/screenshots.py``, where torch, scikit-learn, playwright and chromium are.

Eight small networks are trained on scikit-learn's digits in a temporary folder, a minute in all, and shown as
`tracker ui` shows them.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import torch
from sklearn.datasets import load_digits

import tracker
from tracker.web.server import Server, listen
from tracker_torch import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, Training

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parent / "images"
EPOCHS = 40
MOST_BYTES = 600_000


@dataclass(frozen=True)
class View:
    """One picture: its file, the address, the part of the page that it shows, and its height in pixels."""

    file: str
    path: str
    wait_for: str
    height: int
    theme: str = "light"


VIEWS = (
    View("page.png", "/runs/deep-4", ".mark.stopped", 860),
    View("table.webp", "/?sort=val_loss", ".spark path", 560),
    View("compare.webp", "/compare?runs=deep-1,deep-2,deep-3,deep-4", "svg.drawing", 1460),
    View("replay.webp", "/replay?runs=deep-4&patience=2", ".outcome", 900),
    View("waste.webp", "/waste", ".bars li", 640),
    View("checkpoints.webp", "/checkpoints", "tbody tr", 560),
    View("dark.webp", "/runs/deep-4", ".mark.stopped", 860, "dark"),
)


def train(experiment: str, name: str, *, rate: float, width: int) -> None:
    """Train one network, with early stopping, a plateau rule and its best file kept."""
    torch.manual_seed(width)
    images, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
    images, labels = images.float() / 16, labels.long()
    model = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    loss_of = torch.nn.CrossEntropyLoss()
    callbacks = [
        EarlyStopping("val_loss", patience=5, restore_best_weights=True),
        ReduceLROnPlateau("val_loss", patience=2, factor=0.5),
        ModelCheckpoint(f"kept/{name}-{{epoch:02d}}.pt", monitor="val_loss", save_best_only=True),
    ]
    with Training(
        model, optimizer, epochs=EPOCHS, experiment=experiment, name=name, callbacks=callbacks,
        params={"lr": rate, "width": width},
    ) as training:  # fmt: skip
        for _ in training.epochs():
            for batch in training.batches(torch.randperm(600).split(25)):
                optimizer.zero_grad()
                loss = loss_of(model(images[batch]), labels[batch])
                loss.backward()
                optimizer.step()
                training.log(loss=loss)
            with torch.no_grad():
                val_loss = float(loss_of(model(images[1200:]), labels[1200:]))
            training.log_epoch(val_loss=val_loss)


def record() -> None:
    """Train all."""
    for number, (rate, width) in enumerate([(0.01, 16), (0.03, 32), (0.06, 64), (0.1, 64)], 1):
        train("digits", f"wide-{number}", rate=rate, width=width)
        train("digits-deep", f"deep-{number}", rate=1.5 * rate, width=2 * width)


def picture(browser: Browser, server: Server, view: View) -> bytes:
    """Return a picture of one view."""
    page = browser.new_page(
        viewport={"width": 1280, "height": view.height},
        color_scheme="dark" if view.theme == "dark" else "light",
    )
    page.goto(server.link(server.keys.link_key(), quote(view.path.partition("?")[0])))
    page.goto(f"http://127.0.0.1:{server.port}{view.path}")
    page.locator(view.wait_for).first.wait_for()
    page.wait_for_timeout(700)
    if view.file.endswith(".png"):
        return page.screenshot()
    devtools = page.context.new_cdp_session(page)
    shot = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 82})
    return base64.b64decode(shot["data"])


def main() -> None:
    """Write the pictures.

    Raises:
        SystemExit: without chromium, or for pictures that take too much room in the repository.
    """
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise SystemExit("There is no chromium on this machine: apt-get install chromium.")
    torch.set_num_threads(1)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        os.chdir(folder)
        record()
        server = listen(port=0)
        thread = threading.Thread(target=server.serve, daemon=True)
        thread.start()
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shots = {view.file: picture(browser, server, view) for view in VIEWS}
        browser.close()
        server.stop()
        thread.join()
        os.chdir(before)
    total = sum(map(len, shots.values()))
    if total > MOST_BYTES:
        raise SystemExit(f"The pictures take {total} bytes, more than {MOST_BYTES}: lower heights.")
    for name, data in shots.items():
        (IMAGES / name).write_bytes(data)
        print(f"{name:18} {len(data):7} bytes")
    print(f"with tracker {tracker.__version__}, {total} bytes in all")


if __name__ == "__main__":
    main()
