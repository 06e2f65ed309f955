"""``tracker completion``."""

from __future__ import annotations

import click

_VARIABLE = "_TRACKER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and run names.

    \b
    Example:
      eval "$(tracker completion bash)"
    """
    from click.shell_completion import get_completion_class

    from tracker.cli.program import program

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(program, {}, "tracker", _VARIABLE).source())
