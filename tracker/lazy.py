"""Public names that a package loads when they are first used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loader(package: str, home_of: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``: each name of ``home_of`` comes from the module named there.

    A name whose module is the package's own submodule of that name is that module. A loaded name is kept, so
    that it is looked for once.
    """

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(home_of[name])
        value = home if home.__name__ == f"{package}.{name}" else getattr(home, name)
        setattr(sys.modules[package], name, value)
        return value

    return load
