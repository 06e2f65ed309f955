"""What other settings would have decided: the same replays as ``tracker decisions replay``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from tracker.errors import BadValue
from tracker.queries.resolve import find_runs, labels
from tracker.queries.result import listing_of
from tracker.values import brief
from tracker.web.answers import Rows, rows_of, table
from tracker.web.listing_routes import names_in
from tracker.web.problems import PROBLEMS
from tracker.web.site import Site


def routes(site: Site) -> APIRouter:
    """Return the routes of replays."""
    router = APIRouter(tags=["replay"], responses=PROBLEMS)

    @router.get(
        "/replay",
        summary="What a callback would have done with other settings",
        response_model=Rows,
    )
    def replay(
        runs: Annotated[str, Query(description="Runs, with commas.")],
        policy: str = "EarlyStopping",
        patience: Annotated[str | None, Query(description="One, or several with commas.")] = None,
        min_delta: float | None = None,
        monitor: str | None = None,
        mode: str | None = None,
        baseline: float | None = None,
        start_from_epoch: int | None = None,
        rules: Literal["tracker-1", "keras-3.15", "transformers-5", "lightning-2.6"] | None = None,
        factor: float | None = None,
        cooldown: int | None = None,
        keep: int | None = None,
    ) -> Response:
        """Each setting that is not given is the run's own. A row has the keys of `tracker decisions replay`.

        `curve` sums up several patiences of EarlyStopping over the runs: epochs saved against metric given up.
        """
        from tracker.replays import api
        from tracker.replays.early_stopping import Outcome, outcomes
        from tracker.replays.missing_metrics import MissingMetrics
        from tracker.replays.settings import patiences_of
        from tracker.replays.tradeoff import Point, tradeoff

        given: dict[str, Any] = {
            "min_delta": min_delta, "monitor": monitor or None, "mode": mode or None,
            "baseline": baseline, "start_from_epoch": start_from_epoch, "rules": rules, "factor": factor,
            "cooldown": cooldown, "keep": keep,
        }  # fmt: skip
        patiences = None if patience is None else patiences_of(_patiences(patience))
        api.check(policy, {**given, "patience": patiences})
        with site.reading() as reader:
            ids = find_runs(reader, names_in(runs))
            missing = MissingMetrics(ids if len(ids) == 1 else ())
            more: dict[str, Any] = {}
            if policy == api.EARLY_STOPPING:
                found = outcomes(reader, ids, patiences, given, missing)
                listing = listing_of(Outcome, found)
                if patiences is not None and len(patiences) > 1:
                    more["curve"] = rows_of(listing_of(Point, tradeoff(found)))
            else:
                listing = api.replay_runs(reader, ids, policy, patiences, given, missing)
            named = {} if reader.empty else labels(reader.connection, ids)
            left_out = missing.report(reader, ids)
        return table(listing, labels=named, left_out=left_out, **more)

    return router


def _patiences(text: str) -> Sequence[int]:
    """Read ``5``, ``1,3,5`` or ``1..20``; a range of any size takes no memory until it is counted."""
    low, dots, high = text.partition("..")
    try:
        return range(int(low), int(high) + 1) if dots else [int(part) for part in names_in(text)]
    except ValueError:
        raise BadValue(f"patience is {brief(text)}: write 5, 1,3,5 or 1..20.") from None
