"""The views, and the file that each is kept in."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.cli.golden import records
from tests.cli.golden.records import LONG_NAME
from tests.cli.golden.screen import Shown, frozen, show

FOLDER = Path(__file__).parent / "views"
WIDTHS = (60, 80, 120, 200)
PROJECT = "/home/ada/projects/handwriting"
"""What the files call the folder that the database was made in; as long as its name, so that lines fold alike."""


@dataclass(frozen=True)
class View:
    """One command as people call it.

    Attributes:
        file: the name of its file.
        words: what stands behind ``tracker``.
        many: of the database of ten thousand runs.
    """

    file: str
    words: tuple[str, ...]
    many: bool = False

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return FOLDER / f"{self.file}.txt"


def _view(file: str, words: str, *more: str, many: bool = False) -> View:
    return View(file, (*words.split(), *more), many)


_BEST, _SECOND = "torch-lr0.003-w64", "keras-lr0.003-w64"
_DIGITS = ("--where", "experiment = 'digits'")
_SEVEN = (
    _BEST,
    _SECOND,
    "torch-lr0.03-w32",
    "keras-lr0.03-w32",
    "torch-lr0.0003-w128",
    "keras-lr0.0003-w128",
)

VIEWS = (
    _view("home", ""),
    _view("runs_list", "runs list", *_DIGITS),
    _view("runs_list_mixed", "runs list", "--where", "experiment not in ('digits', 'scripts')"),
    _view("runs_list_scripts", "runs list", "--where", "experiment = 'scripts'"),
    _view("runs_list_wide", "runs list --wide", *_DIGITS),
    _view("runs_list_columns", "runs list --columns name,lr,val_loss,last(val_loss),age", *_DIGITS),
    _view("runs_list_sorted", "runs list --sort val_accuracy -n 3"),
    _view("runs_list_grouped", "runs list --group-by experiment"),
    _view("runs_list_running", "runs list --running"),
    _view("runs_list_children", "runs list sweep --children"),
    _view("runs_list_none", "runs list", "--where", "val_loss < 0"),
    _view("runs_list_many", "runs list -n 5", many=True),
    _view("runs_list_many_grouped", "runs list --group-by experiment,lr -n 5", many=True),
    _view("runs_show", "runs show", _BEST),
    _view("runs_show_all", "runs show resumed-twice --all"),
    _view("runs_show_steps", "runs show llama-sft"),
    _view("runs_show_failed", "runs show wide-and-deep"),
    _view("runs_show_lost", "runs show overnight"),
    _view("runs_show_long", "runs show", LONG_NAME),
    _view("runs_compare_two", "runs compare", _BEST, _SECOND),
    _view("runs_compare_seven", "runs compare --metric val_loss --metric accuracy", *_SEVEN, "resumed-twice"),
    _view("runs_compare_long", "runs compare", _BEST, LONG_NAME, "llama-sft"),
    _view("runs_best", "runs best digits"),
    _view("runs_best_none", "runs best imagenet"),
    _view("epochs_list", "epochs list -n 4", _BEST),
    _view("metrics_list", "metrics list"),
    _view("params_list", "params list"),
    _view("checkpoints_list", "checkpoints list", "--where", "state = 'available'"),
    _view("checkpoints_show", "checkpoints show", _BEST, "best"),
    _view("checkpoints_verify", "checkpoints verify", _BEST, _SECOND),
    _view("checkpoints_totals", "checkpoints totals"),
    _view("decisions_list", "decisions list -n 6", _BEST),
    _view("decisions_list_runs", "decisions list -n 4", "--where", "verdict = 'stopped'"),
    _view("decisions_replay", "decisions replay --patience 2", _BEST, _SECOND, "torch-lr0.0003-w128"),
    _view("decisions_replay_curve", "decisions replay --patience 1,2,4 --curve", *_DIGITS),
    _view("decisions_waste", "decisions waste -n 5"),
    _view("decisions_waste_by_experiment", "decisions waste --by-experiment"),
    _view("db_status", "db status"),
    _view("db_doctor", "db doctor"),
    _view("error_filter", "runs list", "--where", "val_los < 0.3 and experiment = 'digits'"),
    _view("error_filter_scripts", "runs list", "--where", "name = '训练' and é < 0.3"),
    _view("error_run", "runs show torch-lr0.03"),
    _view("error_metric", "runs compare --metric val_acuracy", _BEST, _SECOND),
)  # fmt: skip


def shown(view: View, folder: Path, width: int | None, **environment: str) -> Shown:
    """Return what a view shows, run in the folder of its database."""
    found = show([*view.words], width=width, **environment)
    return Shown(_at_home(found.out, folder), _at_home(found.err, folder), found.code)


def _at_home(text: str, folder: Path) -> str:
    return text.replace(str(folder), PROJECT)


def text_of(view: View, ways: Iterable[tuple[str, Shown]]) -> str:
    """Return what the file of a view holds: the command, then each way to look at it; equal ones once."""
    titles: dict[Shown, list[str]] = {}
    for way, found in ways:
        titles.setdefault(found, []).append(way)
    parts = [f"$ {command(view)}"]
    for found, same in titles.items():
        title = "; ".join(same)
        parts.append(f"── {title} " + "─" * max(3, 60 - len(title)))
        parts += [found.out.rstrip("\n")] if found.out else []
        parts += [f"── on standard error\n{found.err.rstrip(chr(10))}"] if found.err else []
        parts += [f"── exit code {found.code}"] if found.code else []
    return "\n".join(parts) + "\n"


def command(view: View) -> str:
    """Return the command as it is typed."""
    quoted = (f'"{word}"' if re.search(r"[^\w.,:@=+/-]", word) else word for word in view.words)
    return " ".join(("tracker", *quoted))


def ways(view: View, folder: Path) -> Iterator[tuple[str, Shown]]:
    """Give each way to look at a view: the widths without colours, one with, a pipe, and in ASCII."""
    for width in WIDTHS:
        yield f"{width} columns", shown(view, folder, width, NO_COLOR="1")
    yield "80 columns, LC_ALL=C", shown(view, folder, 80, NO_COLOR="1", LC_ALL="C")
    coloured = shown(view, folder, 80)
    if coloured.out:
        yield "80 columns, colours", replace(coloured, out=_escaped(coloured.out), err="", code=0)
    yield "a pipe", shown(view, folder, None)


def _escaped(text: str) -> str:
    r"""Write colours so that a text file shows them: ``\e[31m`` as ``‹31›``."""
    return re.sub(r"\x1b\[([\d;]*)m", r"‹\1›", text)


@contextmanager
def databases() -> Iterator[dict[bool, Path]]:
    """Give the folders of the two databases: of all kinds of runs, and (True) of ten thousand."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        if len(str(root)) > len(PROJECT) - 2:
            # Only as long as the name that stands for it in the files.
            root = Path("/tmp")
        folders = {many: _as_long_as_the_project(root, many) for many in (False, True)}
        try:
            for folder in folders.values():
                folder.mkdir()
            with frozen():
                records.record(folders[False])
                records.record_many(folders[True])
            yield folders
        finally:
            for folder in folders.values():
                shutil.rmtree(folder, ignore_errors=True)


def _as_long_as_the_project(root: Path, many: bool) -> Path:
    room = len(PROJECT) - len(str(root)) - 2
    return root / f"{'km'[many]}{secrets.token_hex(room)[:room]}"
