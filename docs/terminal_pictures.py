"""Write the pictures of the terminal: ``python docs/terminal_pictures.py``, from the databases of `tests.cli.golden`.

No training is needed: the runs are those that the views in ``tests/cli/golden/views`` show.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.cli.golden.screen import show
from tests.cli.golden.views import databases

IMAGES = Path(__file__).parent / "images"
COLUMNS = 112
MOST_BYTES = 200_000
_DIGITS = ("--where", "experiment = 'digits'")

PICTURES: dict[str, tuple[str, ...]] = {
    "terminal-list": ("runs", "list", "--sort", "val_loss", *_DIGITS),
    "terminal-show": ("runs", "show", "torch-lr0.003-w64"),
    "terminal-compare": ("runs", "compare", "torch-lr0.003-w64", "keras-lr0.003-w64"),
}
"""What each picture shows; one in dark letters on light, and one the other way round."""


def picture(words: tuple[str, ...], theme: TerminalTheme) -> str:
    """Return a command and what it prints, as SVG."""
    quoted = " ".join(f'"{word}"' if " " in word else word for word in words)
    said = show([*words], width=COLUMNS).out
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ tracker {quoted}", "bold"), soft_wrap=True)
    console.print(Text.from_ansi(said), soft_wrap=True)
    drawn = console.export_svg(title="", theme=theme, unique_id="terminal")
    # A picture of ours asks no other server for a font.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return drawn.replace("Fira Code, ", "").replace("Fira Code", "monospace")


def main() -> None:
    """Write the pictures.

    Raises:
        SystemExit: for pictures that take too much room in the repository.
    """
    themes = {"": DEFAULT_TERMINAL_THEME, "-dark": DIMMED_MONOKAI}
    drawn: dict[str, str] = {}
    with databases() as folders:
        os.chdir(folders[False])
        for name, words in PICTURES.items():
            for ending, theme in themes.items():
                drawn[f"{name}{ending}.svg"] = picture(words, theme)
        os.chdir("/")
    total = sum(len(text.encode()) for text in drawn.values())
    if total > MOST_BYTES:
        raise SystemExit(f"The pictures take {total} bytes, more than {MOST_BYTES}.")
    for file, text in drawn.items():
        (IMAGES / file).write_text(text, encoding="utf-8")
        print(f"{file:28} {len(text.encode()):7} bytes")


if __name__ == "__main__":
    main()
