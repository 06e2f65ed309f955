"""What the page changes: tags, notes, names, pins, deletion; and checking files, whose result is recorded."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from tracker.errors import TrackerError
from tracker.exports.cells import with_iso_times
from tracker.maintenance import checkpoints as files
from tracker.maintenance import edits
from tracker.queries import api as queries
from tracker.queries.checkpoints import find_checkpoint
from tracker.queries.status import running_runs
from tracker.states import CheckpointState
from tracker.storage.database import compact
from tracker.web.answers import answer
from tracker.web.listing_routes import names_in
from tracker.web.problems import PROBLEMS, Problem
from tracker.web.site import Site

_WRITES: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    403: {"description": "Started with `--read-only`, or asked by another page."},
    409: {"model": Problem, "description": "The run is being recorded."},
}


class Call(BaseModel):
    """A body whose every field is known: a misspelt one would change something else, or everything."""

    model_config = ConfigDict(extra="forbid")


class Edit(Call):
    """What to change about a run; what is not given stays. A note of "" removes it."""

    name: str | None = None
    note: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    removed_tags: list[str] = Field(default_factory=list)


class Deletion(Call):
    """Which runs to delete, and whether their checkpoint files go, too."""

    runs: list[str]
    files: bool = False


class Pin(Call):
    """Whether a checkpoint is pinned."""

    pinned: bool


class Checked(Call):
    """Whose files to check; none for all runs."""

    runs: list[str] | None = None


def routes(site: Site) -> APIRouter:
    """Return the routes that change something."""
    router = APIRouter(tags=["changes"], responses=_WRITES)

    @router.patch("/runs/{run:name}", summary="Change a run's name, note or tags")
    def edit_run(run: str, edit: Edit) -> Response:
        with site.reading() as reader:
            id_ = queries.find_run(reader, run)
        if edit.name is not None:
            edits.rename(site.location, id_, edit.name)
        if edit.note is not None:
            edits.note(site.location, [id_], edit.note or None)
        if edit.tags or edit.removed_tags:
            edits.tag(site.location, [id_], edit.tags, edit.removed_tags)
        return answer({"id": id_})

    @router.get("/deletion", summary="What deleting runs would free")
    def plan_deletion(runs: str) -> Response:
        with site.reading() as reader:
            ids = queries.find_runs(reader, names_in(runs))
            of_runs = list(
                queries.checkpoints(reader, ids, states=[CheckpointState.AVAILABLE]).dicts()
            )
            named = queries.labels(reader.connection, ids)
        going = [row for row in of_runs if not row["pinned"]]
        return answer(
            {
                "runs": named,
                "files": len(going),
                "bytes": sum(row["bytes"] for row in going),
                "pinned": len(of_runs) - len(going),
            }
        )

    @router.post("/deletion", summary="Delete runs and everything recorded of them")
    def delete_runs(deletion: Deletion) -> Response:
        with site.reading() as reader:
            ids = queries.find_runs(reader, deletion.runs)
            is_busy = bool(running_runs(reader))
        gone = edits.delete(site.location, ids, files=deletion.files)
        # Rewriting the file would hold up whoever records.
        freed = 0 if is_busy else compact(site.location)
        return answer(
            {
                "runs": len(ids),
                "files": [str(path) for path in gone.files],
                "kept": {str(path): why for path, why in gone.kept.items()},
                "freed": freed,
            }
        )

    @router.put("/checkpoints/{checkpoint:name}/pin", summary="Pin a checkpoint, or remove the pin")
    def pin_checkpoint(checkpoint: str, pin: Pin) -> Response:
        with site.reading() as reader:
            id_ = find_checkpoint(reader, checkpoint)["id"]
        files.pin(site.location, [id_], pinned=pin.pinned)
        return answer({"id": id_, "pinned": pin.pinned})

    @router.post(
        "/verify", summary="Check size and SHA-256 of files", response_class=StreamingResponse
    )
    def verify_files(checked: Checked) -> Response:
        """One JSON object per line: `{"done", "total"}` in bytes while files are read, then `{"checkpoints"}`."""
        with site.reading() as reader:
            ids = None if checked.runs is None else queries.find_runs(reader, checked.runs)
            listing = queries.checkpoints(reader, ids, states=files.WITH_FILE)
        total = sum(listing.cells("bytes"))
        return StreamingResponse(_verifying(site, ids, total), media_type="application/x-ndjson")

    return router


def _verifying(site: Site, ids: list[str] | None, total: int) -> Iterator[str]:
    said: queue.Queue[dict[str, Any] | None] = queue.Queue()
    done = 0

    def step(size: int) -> None:
        nonlocal done
        done += size
        said.put({"done": done, "total": total})

    def work() -> None:
        try:
            results = files.verify(site.location, ids, step=step)
            rows = [
                {**with_iso_times(one.checkpoint), "state": one.state, "changed": one.changed}
                for one in results
            ]
            said.put({"checkpoints": rows})
        except TrackerError as error:
            said.put({"error": str(error), "kind": type(error).__name__})
        finally:
            said.put(None)

    threading.Thread(target=work, name="tracker ui: verify", daemon=True).start()
    yield json.dumps({"done": 0, "total": total}) + "\n"
    while (line := said.get()) is not None:
        yield bytes(answer(line).body).decode() + "\n"
