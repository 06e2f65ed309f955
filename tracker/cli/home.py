"""``tracker`` by itself: where the database is, what runs now, the last runs, and what to try."""

from __future__ import annotations

from tracker.cli.format import age, at_epoch, visible
from tracker.cli.output import say
from tracker.cli.render import print_table
from tracker.cli.runs import overview_table
from tracker.errors import counted
from tracker.queries import api as queries
from tracker.queries.status import running_runs
from tracker.queries.totals import run_counts
from tracker.storage.database import Reader, locate, reading

_LATEST = 5


def print_home() -> None:
    """Print the overview of the database that is used here."""
    location = locate(None)
    with reading(location) as reader:
        runs, running = (0, 0) if reader.empty else run_counts(reader)
        counts = f"{counted(runs, 'run')}, {running or 'none'} running now"
        say(f"Database {visible(str(location))}: {counts}.")
        if not runs:
            say(
                "\nRecord a run with tracker.start_run(), or with the callbacks of tracker_keras or "
                "tracker_torch.\nAnother database: --database of each command, or TRACKER_DATABASE_URL."
                "\n\ntracker --help lists the commands."
            )
            return
        if running:
            _print_running(reader)
        latest = queries.overview(reader, limit=_LATEST)
        say()
        say(f"Latest {'run' if len(latest.rows) == 1 else 'runs'}", bold=True)
        print_table(overview_table(latest), hint="tracker runs list --wide shows all columns.")
        say()
        say("Try", bold=True)
        for command in _suggestions(latest.cells("name"), latest.cells("experiment"), running):
            say(f"  {command}", whole=True)


def _print_running(reader: Reader) -> None:
    say()
    say("Running now", bold=True)
    for row in queries.overview(reader, ids=running_runs(reader), limit=_LATEST).dicts():
        last = at_epoch(row["last"], row["last_epoch"], row["last_step"])
        metric = [] if last is None else [f"{visible(row['monitor'])} {last}"]
        # A run that logs by steps says in its metric how far it is.
        done = [counted(row["epochs"], "epoch")] if row["epochs"] or not metric else []
        parts = [visible(row["name"]), *done, *metric, f"for {age(row['started'])}"]
        say(f"  {'  '.join(parts)}", indent=4)


def _suggestions(names: list[str], experiments: list[str], running: int) -> list[str]:
    """Return commands that can be pasted as they are."""
    from shlex import quote

    name, experiment = quote(visible(names[0])), quote(visible(experiments[0]))
    compare = [f"tracker runs compare {' '.join(quote(visible(one)) for one in names[:2])}"]
    return [
        *(["tracker runs watch"] if running else []),
        f"tracker runs show {name}",
        f"tracker runs best {experiment}",
        *(compare if len(set(names[:2])) > 1 else []),
        "tracker --help",
    ]
