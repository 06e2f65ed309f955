"""A terminal for the commands that look different on one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.helpers import ROOT

Terminal = Callable[..., str]


@pytest.fixture
def terminal() -> Terminal:
    """Call ``tracker …`` on a pseudo-terminal that is so wide; returns what a person sees."""
    if not hasattr(os, "openpty"):
        pytest.skip("no pseudo-terminals here")

    def call(wide: int, *words: str, **environment: str) -> str:
        ours, theirs = os.openpty()
        settings = {"PYTHONPATH": str(ROOT), "COLUMNS": str(wide), "TERM": "xterm", **environment}
        plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        process = subprocess.Popen(
            [sys.executable, "-m", "tracker", *words],
            stdout=theirs,
            env={**plain, **settings},
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait() == 0
        return said.decode().replace("\r\n", "\n")

    return call
