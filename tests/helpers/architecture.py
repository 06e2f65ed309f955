"""Who may import whom, as functions over a source tree: each returns what breaks its rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ORDER = (
    # Leaves.
    (
        "errors",
        "values",
        "clock",
        "ids",
        "redact",
        "process",
        "ranks",
        "variables",
        "files",
        "folders",
        "identity",
        "leftovers",
        "removal",
        "remote",
        "csv_log",
        "states",
        "lazy",
        "cards",
        "worker",
        "system_names",
    ),
    ("models",),
    ("policies", "series"),
    ("storage",),
    ("filters",),
    ("checkpointing",),
    ("queries",),
    ("recording",),
    ("maintenance",),
    ("frames",),
    ("replays",),
    ("exports",),
    ("web",),
    ("__init__",),
    ("cli", "__main__"),
)
"""What a module of ``tracker`` may import stands to its left, or beside it in its own tier."""

PURE = ("policies", "series")
DATABASE = (
    "sqlalchemy",
    "sqlmodel",
    "sqlite3",
    "alembic",
    "psycopg",
    "tracker.storage.database",
    "tracker.queries",
)
ADAPTERS = ("tracker_keras", "tracker_torch", "tracker_integrations")
HEAVY = ("tensorflow", "keras", "torch", "pandas", "alembic")
WRITES = re.compile(r"^(insert|update|delete|upsert)$")


def python_files(folder: Path) -> list[Path]:
    """Return the Python files below a folder, or the file itself."""
    return [folder] if folder.is_file() else sorted(folder.rglob("*.py"))


def imports(path: Path, *, top_level: bool = False) -> Iterator[str]:
    """Give the modules and names that a file imports, dotted; not those for type checkers only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _outside_type_checking(tree, top_level):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _outside_type_checking(node: ast.AST, top_level: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if top_level and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        yield child
        yield from _outside_type_checking(child, top_level)


def _is(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def pure_modules_know_no_database(root: Path) -> list[str]:
    """Policies and the packing of step metrics: numbers in, numbers out."""
    parts = [root / "tracker" / part for part in PURE]
    gone = [f"{part.name}: is not there: correct PURE" for part in parts if not part.exists()]
    files = [file for part in parts if part.exists() for file in python_files(part)]
    return gone + [
        f"{file.name}: {name}" for file in files for name in imports(file) if _is(name, DATABASE)
    ]


def queries_never_write(root: Path) -> list[str]:
    """The read side calls nothing that changes rows."""
    found = []
    for file in python_files(root / "tracker" / "queries"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else getattr(node.func, "id", "")
                )
                owner = node.func.value if isinstance(node.func, ast.Attribute) else None
                if WRITES.match(called) and (owner is None or _is_table(owner)):
                    found.append(f"{file.name}:{node.lineno}: {called}")
        found += [
            f"{file.name}: {name}"
            for name in imports(file)
            if _is(name, ("tracker.storage.journal", "tracker.storage.statements"))
        ]
    return found


def _is_table(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id.isupper()


def frames_cli_and_web_hold_no_sql(root: Path) -> list[str]:
    """They ask `tracker.queries`."""
    files = [
        root / "tracker" / "frames.py",
        *python_files(root / "tracker" / "cli"),
        *python_files(root / "tracker" / "web"),
    ]
    return [
        f"{file.name}: {name}"
        for file in files
        for name in imports(file)
        if _is(name, ("sqlalchemy", "sqlmodel", "sqlite3"))
    ]


def adapters_use_public_names(root: Path, public: list[str]) -> list[str]:
    """Adapters use ``tracker.__all__`` and their own framework, never each other."""
    found = []
    for ours, foreign in (
        ("tracker_keras", ("torch", "tracker_torch", "tensorflow", "tracker_integrations")),
        ("tracker_torch", ("keras", "tracker_keras", "tensorflow", "tracker_integrations")),
        ("tracker_integrations", ("tracker_keras", "tracker_torch")),
    ):
        for file in python_files(root / "adapters" / ours):
            for name in imports(file):
                parts = name.split(".")
                private = parts[0] == "tracker" and len(parts) > 1 and parts[1] not in public
                if private or _is(name, foreign):
                    found.append(f"{ours}/{file.name}: {name}")
    return found


def importing_is_light(root: Path) -> list[str]:
    """No module of ``tracker`` imports a heavy package at its top, but those loaded only when needed."""
    allowed = {"frames.py": ("pandas",)}
    return [
        f"{file.name}: {name}"
        for file in python_files(root / "tracker")
        for name in imports(file, top_level=True)
        if _is(name, HEAVY) and not _is(name, allowed.get(file.name, ()))
    ]


def migrations_import_nothing_of_ours(root: Path) -> list[str]:
    """A migration must do the same in ten years."""
    files = python_files(root / "migrations" / "versions")
    ours = ("tracker", *ADAPTERS)
    return [f"{file.name}: {name}" for file in files for name in imports(file) if _is(name, ours)]


def imports_point_left(root: Path) -> list[str]:
    """A module imports from its own tier and those to its left in `ORDER`, wherever the import stands."""
    tier = {name: place for place, names in enumerate(ORDER) for name in names}
    found = []
    for module, targets in _graph(root / "tracker", "tracker").items():
        for target in targets:
            here, there = (tier.get(_room(name)) for name in (module, target))
            if here is None or there is None:
                found.append(f"{module} or {target} stands in no tier of ORDER")
            elif there > here:
                found.append(f"{module} imports {target}, which stands to its right")
    return found


def _room(module: str) -> str:
    """Return the first part below ``tracker``: what ORDER lists."""
    return [*module.split("."), "__init__"][1]


def no_file_imports_itself_in_a_circle(root: Path) -> list[str]:
    """Over all imports, those within functions and those for type checkers included."""
    sources = (
        (root / "tracker", "tracker"),
        *((root / "adapters" / name, name) for name in ADAPTERS),
    )
    return [
        f"circle: {' -> '.join(sorted(circle))}"
        for folder, package in sources
        for circle in _circles(_graph(folder, package))
    ]


def _graph(folder: Path, package: str) -> dict[str, set[str]]:
    """Return which of a package's files import which, by dotted name."""
    files = {_dotted(file, folder, package): file for file in python_files(folder)}
    graph: dict[str, set[str]] = {module: set() for module in files}
    for module, file in files.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                target = name if name in files else name.rpartition(".")[0]
                if target in files and target != module:
                    graph[module].add(target)
    return graph


def _dotted(file: Path, folder: Path, package: str) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join([package, *(part for part in parts if part != "__init__")])


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of files that reach one another."""
    reach = {module: _reached(graph, module) for module in graph}
    circles: list[set[str]] = []
    for module in graph:
        same = {other for other in reach[module] if module in reach[other]}
        if same and same not in circles:
            circles.append(same)
    return circles


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph[module]
    return seen
