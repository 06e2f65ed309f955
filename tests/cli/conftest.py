"""The command line, called in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from tests.helpers.cli import runner
from tracker.cli import program

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    """Call ``tracker …``; an error that is none of ours or click's comes out as it is."""

    def call(*words: object, **options: Any) -> Result:
        result = runner().invoke(program, [str(word) for word in words], **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call
