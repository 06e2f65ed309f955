"""docs/reliability.md: which promise each figure proves."""

from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.faults.families import FAMILIES
from tests.faults.family import Family, Result
from tests.helpers import ROOT

PROMISES = {
    1: "Recorded means durable: when `log_epoch`, `save_checkpoint` or a decision returns, a kill or a power loss does "
    "not lose it. Where only memory is left, the log says so.",
    2: "No failure to record raises into a training loop once it has started: what cannot be written waits beside the "
    "database.",
    3: "Bounded: once a run has started, a call that records takes at most 2 seconds and the end of the run at most 5, "
    "whatever disk or server do. The end also waits for files that are still being saved, and up to 60 seconds for "
    "copies to a remote folder.",
    4: "A checkpoint that is listed as available is complete, and has the hash that is listed.",
    5: "Pruning deletes nothing it should not: not the best, the last or a pinned checkpoint, nor a file of others.",
    6: "Decisions after a resume are those of a run that was never interrupted.",
    7: "Dead runs are called dead, living ones never, unless they are on another machine or in another container and "
    "have been silent for five minutes.",
    8: "The values that come out are those that went in; a damaged one is named, and not shown.",
    9: "A database is made or upgraded whole, or stays as it was; another program's file is left alone.",
    10: "Nobody else can read what is recorded, and nothing outside the data folder and the files that you name is "
    "touched.",
}

PAGE = ROOT / "docs/reliability.md"
PLANTED, PEERS = "planted", "peers"
"""Tables that are made by themselves, and stay when the others are made anew."""
_ROW = re.compile(r"^\| ([A-Z]\d+) \|.*\|$", re.MULTILINE)
"""A family's in the table."""

HEAD = """\
# Reliability

What is promised, and what was tried to break it. `make faults` writes this page; each row has its own date, and the two
tables below it are written by targets of their own. `make faults SHARE=0.05` tries a twentieth, and the test suite a
smaller sample on every run. The numbers of the promises are those of this page.

{promises}

After each kill, power loss and failing call the following is asked: the database is sound and no row has lost its
parent; each acknowledged epoch is recorded, bit for bit (the script notes it, in a file of its own, once the call has
returned); each checkpoint that is listed as available has its size and hash; no run of a process that is gone is called
running; the next start works, without anybody's help; and each epoch is as its checksum says.

A call counts as a violation of promise 3 only above twice the bound, and less the time for which the machine itself
stood still; *Seen* gives the longest call of the trials in which it did not, and how many exceeded the bound. In P1 to
P5 twenty processes meet each fault, each at a moment of its own, and are counted one by one; in E1, E5 and E7, where
nothing is broken on purpose, each record is counted.

{where}

| | What was done | Proves | Tried | Violations | Seen | On |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

The letters are those of the families in `tests/faults`, whose modules hold one to five each. A library preloaded with
`LD_PRELOAD` (`tests/faults/calls.c`) counts, fails or delays calls, or kills the process at one: every write, fsync,
rename, link, deletion, truncation and creation that Python or SQLite makes. Power losses are images of the disk, made
of the trace of these calls: in the strict model, whatever was not fsynced may be missing or torn, in any combination;
in the one like ext4, names reach the disk in order.

## What shows that these tests can fail

`make faults-planted` plants faults, each alone in a copy of the code (a commit without fsync, a rename before the row,
a deferred transaction, `synchronous=NORMAL`, no fsync of the folder, …), runs the family or the test that must find it,
and writes this table.

{planted}

## Other recorders under the same faults

A training of short epochs, 51 metrics each, is killed (`kill −9`) within a second after its first epoch; another one
meets a disk that is full for 30 of its 60 epochs, and has room again for the last 20. Each recorder is used as its
documentation recommends, called by nothing that would catch what it raises, and read by its own reader.
`make faults-peers` makes environments with the newest releases and writes this table.

{peers}

A lost epoch is one whose call had returned. Where a recorder writes from a thread of its own, what the last fraction of
a second brought is lost: few epochs of minutes, many of milliseconds. CSV and event files are for reading curves, and
keep no status. A recorder that loses nothing in the table is as good as this project there. With trackio, too, a
training goes on when the disk is full, but what could not be written is missing. The next `fit` refuses a Keras backup
that a kill has cut short until somebody removes it. With Keras, a backup that finds no room ends `fit`; with ours, the
previous one stays. The power was not cut.

## What is not promised

- Step metrics (`run.log`) are written once a second: a kill costs at most the last second of them.
- A disk that lies about fsync, and a file system whose `rename` is not atomic.
- SQLite files on a network file system that several machines write to at once: use PostgreSQL there.
- That a run on another machine is noticed as dead at once: after 5 minutes without a sign of life.
"""


def page(results: Mapping[Family, Result], *, seed: int) -> str:
    """Write the page; rows of families that were not tried stay as they are, and tables that are made by themselves."""
    promises = "\n".join(f"- **{number}.** {text}" for number, text in PROMISES.items())
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    earlier = {found[1]: found[0] for found in _ROW.finditer(before)}
    now = {family.id: _row(family, result) for family, result in results.items()}
    found = earlier | now
    rows = "\n".join(found[family.id] for family in FAMILIES if family.id in found)
    kept = {}
    for name in (PLANTED, PEERS):
        table = _between(name).search(before)
        kept[name] = table[0] if table else _marked(name, "Not run yet.")
    return HEAD.format(promises=promises, where=_where(seed), rows=rows, **kept)


def write_table(name: str, table: str) -> None:
    """Put a table that is made by itself, `PLANTED` or `PEERS`, into the page, with the date."""
    text = _marked(name, f"Run on {_today()}; {table}")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(_between(name).sub(lambda _: text, page), encoding="utf-8")


def _between(name: str) -> re.Pattern[str]:
    return re.compile(_marked(re.escape(name), ".*"), re.DOTALL)


def _marked(name: str, table: str) -> str:
    return f"<!-- {name}: begin -->\n{table}\n<!-- {name}: end -->"


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _where(seed: int) -> str:
    return (
        f"Run last on {_today()}, seed {seed}, as often as counted below; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.release().split('-')[0]}."
    )


def _row(family: Family, result: Result) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in result.facts.items())
    violations = str(len(result.violations)) if result.tried else "–"
    cells = (
        family.id, family.title, family.promise, str(result.tried), violations, facts, _today()
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
