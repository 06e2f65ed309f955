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


def schema() -> str:
    """Return docs/schema.md."""
    from tracker import models
    from tracker.storage.schema import HEAD

    by_name = {
        model.__tablename__: model
        for _, model in inspect.getmembers(models, inspect.isclass)
        if issubclass(model, models.Table) and model is not models.Table
    }
    parts = [SCHEMA_HEAD.format(head=HEAD)]
    for name, table in models.Table.metadata.tables.items():
        doc = inspect.cleandoc(by_name[name].__doc__ or "")
        rows = "\n".join(_column(column) for column in table.columns)
        parts.append(f"\n## {name}\n\n{doc}\n\n| column | type | |\n| --- | --- | --- |\n{rows}\n")
    return "".join(parts)


def _column(column: Column[Any]) -> str:
    kind = str(column.type).lower().replace("varchar", "text").replace("autostring", "text")
    notes = []
    if column.primary_key:
        notes.append("key")
    notes += [f"→ {key.target_fullname}" for key in column.foreign_keys]
    if column.nullable:
        notes.append("may be NULL")
    return f"| {column.name} | {kind} | {', '.join(notes)} |"


CLI_HEAD = """# Command line

Every listing takes `--format table|csv|json`, `--where`, `--sort` and `-n`: a table on a terminal, plain text in
a pipe. On a narrow terminal spare columns are left out, and named below; numbers are never cut.
A run is named by its id, a unique beginning of the id, or its name. Exit codes: 0 done, 1 failed, 2 wrong call.
"""


def cli() -> str:
    """Return docs/cli.md: the help of every command."""
    from tracker.cli import program

    parts = [CLI_HEAD]
    root = click.Context(program, info_name="tracker", **program.context_settings)
    for context in _commands(root):
        text = context.command.get_help(context)
        parts.append(f"\n## {context.command_path}\n\n```text\n{text}\n```\n")
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
