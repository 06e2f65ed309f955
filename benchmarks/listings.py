"""What the commands cost on a database of 100 000 runs, beyond what they cost on one of two runs.

Processor time, user and system together, of a copy of a process that has loaded Python and all modules: each command
on both databases, taking turns, so that the difference is what the runs cost, and the start is not.
`benchmarks.many_runs` says what a run has.

    python -m benchmarks.listings [--runs 100000] [--database FILE] [--rounds 5] [--only WORD] [--quick]

On PostgreSQL with two databases that `benchmarks.many_runs` has made; what the server's processes need is counted,
where it is told which they are:

    python -m benchmarks.listings --few URL --database URL --server PID [--rounds 5] [--only WORD]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

import tracker
from benchmarks import page
from benchmarks.many_runs import build
from tracker.cli import program
from tracker.storage.database import locate

RUNS, FEW = 100_000, 2
WHERE = "val_loss < 0.3 and lr >= 0.5"

LISTINGS = {
    "runs list": "runs list -n 20",
    "runs list, all columns": "runs list -n 20 --format json",
    "runs list --running": "runs list --running",
    "filtered by a metric and a param": f'runs list -n 20 --where "{WHERE}"',
    "filtered by a tag": "runs list -n 20 --where \"tags.tag0 = 'value 7'\"",
    "filtered by status and time": "runs list -n 20 --where \"status = 'failed' and started > '2020-01-01'\"",
    "filtered so that no run is left": "runs list -n 20 --where \"name like '%nobody%'\"",
    "sorted by a metric": "runs list -n 20 --sort val_loss",
    "sorted by a last value": 'runs list -n 20 --sort "last(val_loss)"',
    "sorted by the epoch of the best": 'runs list -n 20 --sort "best_epoch(val_loss)"',
    "sorted by the epoch of the last": 'runs list -n 20 --sort "last_epoch(val_loss)"',
    "sorted by a param": "runs list -n 20 --sort params.lr",
    "sorted by a tag": "runs list -n 20 --sort tags.tag0",
    "sorted by a column": "runs list -n 20 --sort seconds",
    "filtered and sorted": f'runs list -n 20 --where "{WHERE}" --sort val_loss',
    "grouped by experiment": "runs list --group-by experiment",
    "grouped by a tag": "runs list --group-by tags.tag0",
    "best of an experiment": "runs best sweep-1",
    "metrics list": "metrics list",
    "params list": "params list",
    "runs show": "runs show run-1",
    "epochs list": "epochs list -n 20",
    "epochs of one run": "epochs list run-1",
    "epochs sorted by a metric": "epochs list -n 20 --sort val_loss",
    "decisions list": "decisions list -n 20",
    "decisions sorted by their epoch": "decisions list -n 20 --sort epoch",
    "checkpoints list": "checkpoints list -n 20",
    "checkpoints sorted by their size": "checkpoints list -n 20 --sort bytes",
    "waste": "decisions waste -n 20",
}
COMPLETIONS = {
    "complete a run": "tracker runs show run-1",
    "complete a metric": "tracker plot run-1 --metric v",
    "complete a sort key": "tracker runs list --sort val_",
    "complete --where, a field": "tracker runs list --where 'params.p'",
    "complete --where, an experiment": 'tracker runs list --where "experiment = \'sw"',
    "complete an experiment": "tracker runs best sw",
}
FRAMES = {"tracker.runs()": None, "tracker.runs(limit=20)": 20}
"""What is asked, and how many rows at most."""


def ask(what: str, database: str) -> None:
    """Ask a question as its own process would; the modules it needs may be loaded already."""
    os.environ["TRACKER_DATABASE_URL"] = database
    if what in FRAMES:
        tracker.runs(limit=FRAMES[what])
        return
    if what in COMPLETIONS:
        text = COMPLETIONS[what]
        words = {"COMP_WORDS": text, "COMP_CWORD": str(len(click_words(text)) - 1)}
        os.environ.update(words, _TRACKER_COMPLETE="bash_complete")
        arguments = []
    else:
        arguments = shlex.split(LISTINGS[what])
    try:
        program(arguments, prog_name="tracker")
    except SystemExit as end:
        if end.code:
            raise
    os.environ.pop("_TRACKER_COMPLETE", None)


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def processor_seconds(what: str, database: str) -> float:
    """Return the user and system time of a question in a copy of this process, which has loaded all modules."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        failed = 1
        try:
            with _in_silence():
                ask(what, database)
            failed = 0
        finally:
            os._exit(failed)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{what}: failed on {database}")
    return used.ru_utime + used.ru_stime


def of_server(pid: int) -> Callable[[], float]:
    """Return a function that returns the processor seconds of a server's ended processes, to a hundredth."""
    server = psutil.Process(pid)
    resident = set(server.children())

    def used() -> float:
        while set(server.children()) - resident:
            time.sleep(0.01)
        times = server.cpu_times()
        return float(times.children_user + times.children_system)

    return used


def click_words(text: str) -> list[str]:
    """Return the words of an unfinished line as the shells' completion takes them."""
    from click.shell_completion import split_arg_string

    return split_arg_string(text)


def beyond(
    what: str, many: str, few: str, rounds: int, server: Callable[[], float]
) -> tuple[float, float]:
    """Return the processor seconds on few runs, and what many cost more: each the least of all rounds.

    What else the machine does only adds to them, and by more than is measured here.
    """
    on_many: list[float] = []
    on_few: list[float] = []
    for round_ in range(rounds):
        turns = [(many, on_many), (few, on_few)]
        for database, found in turns if round_ % 2 else reversed(turns):
            before = server()
            used = processor_seconds(what, database)
            found.append(used + server() - before)
    return min(on_few), min(on_many) - min(on_few)


def measure(
    many: str, few: str, rounds: int, only: str, server: Callable[[], float] = float
) -> list[list[str]]:
    """Return the table's rows: what, its seconds on few runs, and beyond them on many."""
    rows = []
    chosen = [what for what in (*LISTINGS, *COMPLETIONS, *FRAMES) if only in what]
    with _in_silence():
        for what in chosen:
            ask(what, few)
    gc.freeze()
    for what in chosen:
        base, more = beyond(what, many, few, rounds, server)
        rows.append([what, f"{base:.3f} s", f"{more:+.3f} s"])
        print(f"{what:40} {base:6.3f} {more:+8.3f}", flush=True)
    return rows


def main() -> None:
    """Measure, print, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=RUNS, help="of the database")
    parser.add_argument("--database", help="one that was built before, instead")
    parser.add_argument("--few", help=f"one of {FEW} runs")
    parser.add_argument(
        "--server", type=int, help="the process that the server's others are children of"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="questions with this word")
    parser.add_argument("--quick", action="store_true", help="prints only")
    chosen: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        few = chosen.few or str(Path(folder, "few.db"))
        many = chosen.database or str(Path(folder, "many.db"))
        if chosen.few is None:
            build(locate(few), FEW)
        if chosen.database is None:
            build(locate(many), chosen.runs)
        server = of_server(chosen.server) if chosen.server else float
        rows = measure(many, few, chosen.rounds, chosen.only, server)
    where, whose = (
        (" on PostgreSQL", ", of the command and of the server,") if chosen.server else ("", "")
    )
    text = (
        f"## {chosen.runs:,} runs{where}\n\n{page.machine()}. Processor time{whose} beyond the start of Python and its "
        f"modules, on {FEW} runs, and what {chosen.runs:,} runs cost more; each has 20 params, 2 tags, 5 epochs "
        "with 10 metrics, 2 callbacks with 5 decisions, and a checkpoint. "
        f"The least of {chosen.rounds} rounds, which take turns.\n\n"
        f"{page.table(['', f'{FEW} runs', 'beyond that'], rows)}"
    )
    if not chosen.quick:
        size = "" if chosen.runs == RUNS else f"_{chosen.runs}"
        page.write(f"listings{size}{'_postgresql' if chosen.server else ''}", text)


if __name__ == "__main__":
    main()
