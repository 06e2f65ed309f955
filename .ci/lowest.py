"""Print the lowest version of each core dependency that pyproject.toml allows, as pip's constraints."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def constraints() -> str:
    """Return the text of constraints-lowest.txt."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line.replace(">=", "==") for line in tomllib.loads(text)["project"]["dependencies"]]
    head = "# Written by `make constraints-lowest.txt`: what `make test-lowest` installs.\n"
    return head + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(constraints())
