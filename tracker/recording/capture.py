"""What a run is recorded with: command, git, machine, packages. By allow-list; never the environment.

What stays the same as long as a process lives is found out once: a sweep starts thousands of runs in one.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from tracker.redact import redact, redact_arguments

PACKAGES = (
    "jax", "keras", "lightning", "local-tracker", "numpy", "pandas",
    "scikit-learn", "scipy", "tensorflow", "tensorflow-cpu", "torch", "transformers",
)  # fmt: skip
"""Whose versions are kept, where they are installed."""


def capture() -> dict[str, Any]:
    """Return what can be said of this process now, as JSON-ready data; what cannot be found out is None."""
    return {
        "command": _or_none(_command),
        "folder": _or_none(os.getcwd),
        "python": platform.python_version(),
        "machine": _or_none(_machine),
        "packages": _or_none(_packages),
        "git": _or_none(_git),
    }


def _or_none(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Exception:
        # Training must not fail because a machine does not report its memory.
        return None


def _command() -> list[str]:
    return _redacted(sys.executable.rsplit("/", 1)[-1], *sys.argv)


@lru_cache(maxsize=1)
def _redacted(*arguments: str) -> list[str]:
    return redact_arguments(arguments)


@lru_cache(maxsize=1)
def _machine() -> dict[str, Any]:
    import psutil

    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def _packages() -> dict[str, str]:
    return dict(_versions(tuple(_changed(folder) for folder in sys.path)))


def _changed(folder: str) -> tuple[str, int]:
    """Return a folder, and when something was last installed into it."""
    try:
        return folder, os.stat(folder).st_mtime_ns  # noqa: PTH116 - each start asks ten times
    except (OSError, ValueError):
        return folder, 0


@lru_cache(maxsize=1)
def _versions(installed: tuple[tuple[str, int], ...]) -> dict[str, str]:
    """Read the versions once for each state of the folders: it takes a third of a start."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git() -> dict[str, Any] | None:
    if not _may_be_a_repository():
        return None
    status = _run_git("status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if status is None:
        return None
    lines = status.splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    remote = _run_git("config", "--get", "remote.origin.url")
    return {
        "commit": head.get("branch.oid"),
        "branch": head.get("branch.head"),
        "modified": any(not line.startswith("#") for line in lines),
        "remote": redact(remote.strip()) if remote else None,
    }


def _may_be_a_repository() -> bool:
    """Say whether it is worth asking git, which takes longer to start than all the rest of a start."""
    folder = Path.cwd()
    return "GIT_DIR" in os.environ or any(
        (above / ".git").exists() for above in (folder, *folder.parents)
    )


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None
