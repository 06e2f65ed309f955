"""Write the pages that follow from the code: ``python docs/generate.py``. A test keeps them current."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Column

DOCS = Path(__file__).parent

SCHEMA_HEAD = """# Schema

The database is plain SQLite (or PostgreSQL): any program can read it. These tables are what schema {head} has; the
migrations that make it are in `migrations/`, and `tracker db upgrade` runs them, with a backup first. The version is in
`tracker_schema_version`, a name of our own, because MLflow and Optuna share Alembic's default one.

Times are whole microseconds since 1970-01-01 UTC, durations are seconds. A value that may be NaN or infinite is two
columns, `value` and `value_kind`:

| kind | value | means |
| --- | --- | --- |
| finite | the value | itself |
| nan | NULL | NaN, which SQLite stores as NULL |
| +inf, -inf | ±infinity | itself |
| -0 | 0.0 | -0.0, whose sign SQLite drops |
| NULL | NULL | none yet |

Effective epochs are those with `superseded = 0`: what a resumed run repeats supersedes
what an earlier attempt recorded.

```console
$ tracker db status
```
"""

SCHEMA_QUESTIONS = """
## Your own questions

`tracker.session()` opens an [SQLModel](https://sqlmodel.tiangolo.com) session on the nearest database (`database=`
names another), with a class for each table below in `tracker.models`. It reads one moment of the database, never waits
for a run that is being recorded, and refuses every statement that would write. Where nothing has been recorded, the
tables are empty.

`status` is what was stored: a run whose process was killed is still called running here, until the next run starts or
`tracker runs reap` is called. Listings and frames say `lost` at once.

Three runs to ask about:

```python
from pathlib import Path

import tracker

for lr in (0.1, 0.01, 0.001):
    with tracker.start_run("digits", params={"lr": lr}) as run:
        stopper = run.add_policy("EarlyStopping", monitor="val_loss", config={"patience": 1})
        for epoch in range(4):
            metrics = {"loss": 1 / (epoch + 1) + lr, "val_loss": 0.5 + abs(epoch - 2) / 10 + lr}
            run.log_epoch(epoch, metrics)
        stopper.decide("stopped", epoch=3, reason="val_loss did not improve", wait=1)
        file = Path(f"{run.id}.weights")
        file.write_bytes(bytes(500_000))
        run.log_checkpoint(file, epoch=3)
```

Which learning rate is the best on average, over all runs that tried it?

```python
from sqlmodel import col, func, select

from tracker.models import Param, Summary

question = (
    select(Param.number, func.count(), func.avg(Summary.min))
    .join(Summary, col(Summary.run_id) == Param.run_id)
    .where(Param.name == "lr", Summary.name == "val_loss")
    .group_by(Param.number)
    .order_by(func.avg(Summary.min))
)
with tracker.session() as session:
    for lr, runs, mean in session.exec(question):
        print(f"lr {lr:g}: {mean:.3f} on average over {runs} runs")
```

In which epochs did a run overfit: the loss fell, and the validation loss rose?

```python
from sqlalchemy.orm import aliased

from tracker.models import Epoch, Metric, Run


def change(metric):
    # Since the epoch before.
    before = func.lag(metric.value).over(partition_by=Epoch.run_id, order_by=Epoch.epoch)
    return metric.value - before


loss, val_loss = aliased(Metric), aliased(Metric)
changes = (
    select(Run.name, Epoch.epoch, change(loss).label("loss"), change(val_loss).label("val_loss"))
    .join(Epoch, col(Epoch.run_id) == Run.id)
    .join(loss, (loss.epoch_id == Epoch.id) & (loss.name == "loss"))
    .join(val_loss, (val_loss.epoch_id == Epoch.id) & (val_loss.name == "val_loss"))
    .where(col(Epoch.superseded).is_(False))
    .subquery()
)
question = select(changes.c.name, changes.c.epoch).where(changes.c.loss < 0, changes.c.val_loss > 0)
with tracker.session() as session:
    for name, epoch in session.exec(question):
        print(f"{name} overfits at epoch {epoch}")
```

How many hours has each machine trained, and how many of its processes were killed?

```python
from sqlalchemy import case

from tracker.models import Attempt

lost = func.sum(case((col(Attempt.status) == "lost", 1), else_=0))
hours = func.sum(Attempt.heartbeat - Attempt.started) / 3.6e9
question = select(Attempt.host, func.count(), lost, hours).group_by(Attempt.host)
with tracker.session() as session:
    for host, processes, killed, hours in session.exec(question):
        print(f"{host}: {hours:.2f} h in {processes} processes, {killed} of them killed")
```

How often has each kind of callback stopped a run, and at which epoch on average?

```python
from tracker.models import Decision, Policy

question = (
    select(Policy.kind, func.count(), func.avg(Decision.epoch))
    .join(Decision, col(Decision.policy_id) == Policy.id)
    .where(Decision.verdict == "stopped", col(Decision.superseded).is_(False))
    .group_by(Policy.kind)
)
with tracker.session() as session:
    for kind, stops, epoch in session.exec(question):
        print(f"{kind} stopped {stops} runs, at epoch {epoch:.1f} on average")
```

How much disk do the checkpoints of each experiment take, and how much of that is pinned?

```python
from tracker.models import Checkpoint

pinned = func.sum(case((col(Checkpoint.pinned), Checkpoint.bytes), else_=0))
question = (
    select(Run.experiment, func.sum(Checkpoint.bytes), pinned)
    .join(Checkpoint, col(Checkpoint.run_id) == Run.id)
    .where(Checkpoint.state == "available")
    .group_by(Run.experiment)
)
with tracker.session() as session:
    for experiment, size, kept in session.exec(question):
        print(f"{experiment}: {size / 1e6:.1f} MB, {kept / 1e6:.1f} MB of it pinned")
```

Plain SQL works as well: `session.connection().exec_driver_sql("SELECT name FROM run")`.
"""


def schema() -> str:
    """Return docs/schema.md."""
    from tracker import models
    from tracker.storage.schema import HEAD

    by_name = {
        model.__tablename__: model
        for _, model in inspect.getmembers(models, inspect.isclass)
        if issubclass(model, models.Table) and model is not models.Table
    }
    parts = [SCHEMA_HEAD.format(head=HEAD), SCHEMA_QUESTIONS]
    for name, table in models.Table.metadata.tables.items():
        doc = inspect.cleandoc(by_name[name].__doc__ or "")
        rows = "\n".join(_column(column) for column in table.columns)
        parts.append(f"\n## {name}\n\n{doc}\n\n| column | type | |\n| --- | --- | --- |\n{rows}\n")
    return "".join(parts)


def _column(column: Column[Any]) -> str:
    from tracker.models import Moment

    kind = str(column.type).lower().replace("varchar", "text").replace("autostring", "text")
    notes = []
    if column.primary_key:
        notes.append("key")
    notes += [f"→ {key.target_fullname}" for key in column.foreign_keys]
    if isinstance(column.type, Moment):
        notes.append("a time")
    if column.nullable:
        notes.append("may be NULL")
    return f"| {column.name} | {kind} | {', '.join(notes)} |"


CLI_HEAD = """# Command line

Every listing takes `--format table|csv|json`, `--where`, `--sort` and `-n`: a table on a terminal, plain text in
a pipe. On a narrow terminal spare columns are left out, and named below; numbers are never cut.
A run is named by its id, a unique beginning of the id, or its name. Exit codes: 0 done, 1 failed, 2 wrong call.
"""

VARIABLES_HEAD = """
## Environment variables

They hold for the commands and for training alike; what a call or an option says comes first.

| variable | means |
| --- | --- |
"""


def cli() -> str:
    """Return docs/cli.md: the help of every command, and the variables that are read."""
    from tracker.cli import program
    from tracker.variables import MEANINGS

    parts = [CLI_HEAD]
    root = click.Context(program, info_name="tracker", **program.context_settings)
    for context in _commands(root):
        text = context.command.get_help(context)
        parts.append(f"\n## {context.command_path}\n\n```text\n{text}\n```\n")
    parts.append(VARIABLES_HEAD)
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in MEANINGS.items()]
    return "".join(parts)


def _commands(context: click.Context) -> Iterator[click.Context]:
    """Give the context of each command, as it is when somebody asks for its help."""
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            settings = {**found.context_settings, "terminal_width": 100, "max_content_width": 100}
            yield from _commands(click.Context(found, info_name=name, parent=context, **settings))


def walks(taken: Mapping[str, Any]) -> str:
    """Return the part of docs/architecture.md that lists walks (of tests/helpers/walks.py)."""
    parts = []
    for name, walk in taken.items():
        rooms = " → ".join(
            f"{room} ({', '.join(modules)})" if modules != [""] else room
            for room, modules in _by_room(walk.modules)
        )
        text = f"**{name[0].upper()}{name[1:]}**, {len(walk.modules)} modules: {rooms}."
        if walk.turns:
            ways = "\n".join(f"- {way}" for way in walk.turns)
            text += f"\n\nIt turns back:\n\n{ways}"
        parts.append(text)
    return "\n\n".join(parts) + "\n"


def _by_room(modules: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Give each stretch of modules that lie in one folder, as the folder and their names."""
    split = (module.rpartition(".") for module in modules)
    for room, stretch in groupby(split, key=lambda part: part[0] or part[2]):
        yield room, [name if parent else "" for parent, _, name in stretch]


WALKS = re.compile(r"(?<=<!-- walks: begin -->\n).*(?=<!-- walks: end -->)", re.DOTALL)

PAGES = {"schema.md": schema, "cli.md": cli}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
        print(f"wrote docs/{name}")
    sys.path.insert(0, str(DOCS.parent))
    from tests.helpers.walks import WALKS as NAMES
    from tests.helpers.walks import take

    page = DOCS / "architecture.md"
    text = walks({name: take(name) for name in NAMES})
    page.write_text(WALKS.sub(lambda _: text, page.read_text("utf-8")), encoding="utf-8")
    print("wrote the walks of docs/architecture.md")


if __name__ == "__main__":
    sys.exit(main())
