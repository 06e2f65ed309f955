"""What is looked at before ``tracker`` is imported: whether the package of that name is local-tracker's.

Another distribution on the index has a top-level package ``tracker``; installed after ours, its files take
the place of ours. This package has the distribution's own name, which no other one has.
"""

from __future__ import annotations

import gc
import sys

DISTRIBUTION = "local-tracker"

_IMPORTED_OBJECTS = 200_000
"""More objects than imports make: the garbage collector looks through new ones when there are as many."""


def check_package() -> None:
    """Return where ``tracker`` is ours.

    Raises:
        ImportError: it is another one's; the text says whose, and what to do.
    """
    try:
        import tracker

        if "claim_run" in tracker.__all__:
            return
    # Ours imports nothing that could fail; theirs may raise anything, a SyntaxError of Python 2 included.
    except Exception as error:
        raise ImportError(_what_happened()) from error
    raise ImportError(_what_happened())


def _what_happened() -> str:
    # Half of what starting a command would take otherwise.
    from importlib.metadata import packages_distributions
    from importlib.util import find_spec

    spec = find_spec("tracker")
    where = (
        "nowhere to be found"
        if spec is None
        else f"that of {spec.origin or 'a folder without code'}"
    )
    owners = packages_distributions().get("tracker", ())
    others = sorted({name for name in owners if name != DISTRIBUTION})
    if others:
        listed = " ".join(others)
        return (
            f"the package `tracker` is not local-tracker's, but {where}: {listed} was installed over it. Put ours "
            f"back: pip uninstall -y {listed} && pip install --force-reinstall --no-deps {DISTRIBUTION}"
        )
    return (
        f"the package `tracker` is not local-tracker's, but {where}. A file or folder named tracker that comes "
        f"first on sys.path hides it: rename that one."
    )


def main() -> None:
    """Run the command ``tracker``."""
    # What a command imports stays: looking through it for garbage while it is built is a tenth of the time.
    gc.set_threshold(_IMPORTED_OBJECTS)
    try:
        check_package()
    except ImportError as error:
        sys.exit(f"Error: {error}")
    from tracker.cli import main as run

    run()
