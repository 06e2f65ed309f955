"""Write the views, or say which differ: ``python -m tests.cli.golden [--write]``."""

from __future__ import annotations

import os
import sys

from tests.cli.golden.views import FOLDER, VIEWS, databases, text_of, ways


def main() -> None:
    """Write the files with ``--write``; else say which are not what is shown now, and exit with 1."""
    write = "--write" in sys.argv[1:]
    os.environ.pop("TRACKER_DATABASE_URL", None)
    differing = []
    with databases() as folders:
        for view in VIEWS:
            os.chdir(folders[view.many])
            text = text_of(view, ways(view, folders[view.many]))
            if not view.path.exists() or view.path.read_text(encoding="utf-8") != text:
                differing.append(view.file)
                if write:
                    FOLDER.mkdir(exist_ok=True)
                    view.path.write_text(text, encoding="utf-8")
        os.chdir("/")
    if write:
        for path in {*FOLDER.glob("*.txt")} - {view.path for view in VIEWS}:
            path.unlink()
    print(f"{len(differing)} of {len(VIEWS)} views {'written' if write else 'differ'}:", *differing)
    sys.exit(bool(differing) and not write)


if __name__ == "__main__":
    main()
