"""Run a command of ``tracker`` inside the test's process."""

from __future__ import annotations

import inspect

from click.testing import CliRunner


def runner() -> CliRunner:
    """Return a runner that keeps standard error apart; click 8.1 does so only when asked."""
    if "mix_stderr" in inspect.signature(CliRunner).parameters:
        return CliRunner(mix_stderr=False)
    return CliRunner()
