"""``tracker ui``: the page."""

from __future__ import annotations

import click

from tracker.cli.options import database_option


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N",
    help="The port; 0 for any that is free. By default 8717, or the next one that is free.",
)  # fmt: skip
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="The address to listen at. Another one lets other machines ask, over a connection that is not encrypted.",
)  # fmt: skip
@click.option("--open/--no-open", "opened", default=True, help="Whether to open a browser.")
@click.option("--read-only", is_flag=True, help="Refuse every change: tags, notes, pins, deletion.")
@database_option
def ui(port: int | None, host: str, opened: bool, read_only: bool, database: str | None) -> None:
    """Show runs on a page in the browser, live.

    The link that is printed opens once; another one is printed when it was used. Scripts ask with
    `Authorization: Bearer …`, where TRACKER_UI_TOKEN holds a secret of your own.

    \b
    Example:
      tracker ui
      tracker ui --port 0 --no-open --read-only
    """
    from tracker.web.server import listen, open_browser

    def another(key: str) -> None:
        click.echo(f"Opened. Another browser: {server.link(key)}")

    server = listen(database, host=host, port=port, read_only=read_only, used=another)
    link = server.link(server.keys.link_key())
    click.echo(f"{server.location} is shown at {link}")
    if opened and open_browser(server.link(server.keys.link_key())):
        click.echo("A browser opens. Ctrl-C ends this.")
    else:
        click.echo("Open the link in a browser. Ctrl-C ends this.")
    server.serve()
