"""What is said where a neighbour is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed(package: str, extra: str) -> Iterator[None]:
    """Import a neighbour in this block, and say how to install it where it is missing.

    Args:
        package: the top-level package that is imported.
        extra: ours that brings it: ``pip install 'local-tracker[extra]'``.

    Raises:
        ImportError: the package is not installed. A package that fails within itself says so itself.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        inside = (error.name or "").startswith(f"{package}.")
        is_blocked = inside and sys.modules.get(package) is None
        if error.name != package and not is_blocked:
            raise
        raise ImportError(
            f"{package} is not installed, which this module of tracker_integrations records: "
            f"pip install 'local-tracker[{extra}]'",
            name=package,
        ) from error
