"""Print the lowest versions that pyproject.toml allows, as pip's constraints: of what the core needs, or of neighbours.

python .ci/lowest.py                        what `make test-lowest` installs
python .ci/lowest.py lightning optuna ...   those extras: what `make test-neighbours-lowest` installs
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path


def constraints(extras: Sequence[str] = ()) -> str:
    """Return the text of constraints-lowest.txt, or that for some extras."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    if not extras:
        return _text("constraints-lowest.txt", "test-lowest", project["dependencies"])
    optional = project["optional-dependencies"]
    needed = [requirement for extra in extras for requirement in optional[extra]]
    return _text("constraints-lowest-neighbours.txt", "test-neighbours-lowest", _highest(needed))


def _highest(requirements: Iterable[str]) -> list[str]:
    """Return one requirement per package: of several lowest versions the highest, which all of them allow."""
    bounds: dict[str, str] = {}
    for requirement in requirements:
        package, _, bound = requirement.partition(">=")
        bounds[package] = max(bounds.get(package, bound), bound, key=_release)
    return [f"{package}>={bound}" for package, bound in bounds.items()]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _text(file: str, target: str, requirements: Iterable[str]) -> str:
    lines = [requirement.replace(">=", "==") for requirement in requirements]
    head = f"# Written by `make {file}`: what `make {target}` installs.\n"
    return head + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(constraints(sys.argv[1:]))
