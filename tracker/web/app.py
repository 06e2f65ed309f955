"""The application: the routes, put together. `tracker.web.access` stands in front of it."""

from __future__ import annotations

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import StreamingResponse

from tracker.storage.database import Location
from tracker.web import edit_routes, listing_routes, replay_routes, run_routes
from tracker.web.addresses import Parted
from tracker.web.problems import handle, known_names
from tracker.web.site import Site
from tracker.web.static_files import Files

API = "/api/v1"
_ABOUT = (
    "What `tracker ui` shows, for scripts. Reading never writes. A change of meaning gets a new prefix; new keys may "
    "be added to answers."
)


def application(location: Location, *, read_only: bool = False) -> tuple[FastAPI, Site]:
    """Return the application and what its routes share."""
    site = Site(location, read_only)
    app = FastAPI(
        title="local-tracker",
        version="1",
        description=_ABOUT,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Parted)
    files = Files()
    handle(app, files)
    checked = [Depends(known_names)]
    parts = (
        listing_routes.routes(site), run_routes.routes(site), replay_routes.routes(site),
        edit_routes.routes(site),
    )  # fmt: skip
    for part in parts:
        app.include_router(part, prefix=API, dependencies=checked)

    @app.get(
        f"{API}/events",
        tags=["live"],
        summary="What changes, as server-sent events",
        dependencies=checked,
    )
    async def events(request: Request, last_event_id: str | None = Header(None)) -> Response:
        """An event `change` names the runs that changed; `other` is true where something else did."""
        stream = site.watcher.listen(last_event_id)
        return StreamingResponse(stream, media_type="text/event-stream")

    app.include_router(files.routes())
    return app, site
