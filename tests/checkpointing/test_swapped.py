"""A folder or a file that is swapped while checkpoints are pruned: nobody else's file is deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SWAPPED = """
import json, os, sys, tracker
from pathlib import Path

left, what = 0, None

def swap():
    if what == "folder":
        os.rename("ckpt", "away")
        os.symlink("victim", "ckpt")
    elif what == "file":
        os.rename("ckpt/0.pt", "ckpt/away.pt")
        os.link("victim/0.pt", "ckpt/0.pt")
    else:
        os.rename("ckpt/0.pt", "ckpt/away.pt")
        os.symlink("../victim/0.pt", "ckpt/0.pt")

def at(event, arguments):
    global left
    if left and event in ("open", "os.remove", "os.listdir", "os.scandir", "os.rename"):
        left -= 1
        if left == 0:
            swap()

sys.addaudithook(at)
lost = []
moments = 0
for what in ("folder", "file", "link"):
    moment = 0
    while True:
        moment += 1
        folder = Path(f"{what}{moment}")
        (folder / "victim").mkdir(parents=True)
        (folder / "victim/0.pt").write_text("V")
        os.chdir(folder)
        run = tracker.start_run(database="t.db")
        made = [run.save_checkpoint(f"ckpt/{n}.pt", lambda to: to.write_text(str(n))) for n in range(2)]
        left = moment
        run.prune_checkpoints(made[:1])
        reached, left = left == 0, 0
        run.finish()
        if not Path("victim/0.pt").exists():
            lost.append(str(folder))
        os.chdir("..")
        moments += 1
        if not reached:
            break
print(json.dumps([moments, lost]))
"""


def test_no_victim_is_deleted_whenever_the_swap_comes(folder: Path, script: Any) -> None:
    said, errors = script(SWAPPED).communicate()
    moments, lost = json.loads(said.splitlines()[-1])
    assert lost == []
    assert moments > 9, errors
