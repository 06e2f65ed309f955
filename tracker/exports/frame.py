"""What is exported as one pandas DataFrame."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracker.exports.stream import RunPoints, check_content, exported_runs, stream_runs
from tracker.frames import frame, points_frame
from tracker.queries import api as queries
from tracker.queries.result import Listing
from tracker.storage.database import reading

if TYPE_CHECKING:
    import pandas as pd

    from tracker.recording.run import Run


def frame_of(
    *runs: str | Run,
    what: str = "epochs",
    where: str | None = None,
    database: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Return what ``tracker export`` writes, as a DataFrame: epochs come with the params and tags of their runs.

    So a curve by learning rate, or a mean over seeds, needs no merge. Columns and dtypes are those of `tracker.runs`,
    `tracker.epochs` and the others; a metric that is called like another column is ``metrics.<name>``.

    Args:
        *runs: of these; without any, of all, oldest first.
        what: "epochs" (run, id, experiment, status, ``tags.x``, ``params.x``, then the columns of `tracker.epochs`),
            "metrics" (the step metrics), "runs", "checkpoints" or "decisions".
        where: only of runs that match this filter.
        database: a path or URL.

    Raises:
        BadValue: for another ``what``.
        WhereError: for a filter that cannot be read.
    """
    check_content(what)
    with reading(database) as reader:
        ids = exported_runs(reader, runs, where)
        if what == "metrics":
            series = queries.points(reader, ids)
            return points_frame(series.columns, series.runs, series.names)
        stream = stream_runs(reader, what, ids)
        rows = [row for chunk in stream.chunks if not isinstance(chunk, RunPoints) for row in chunk]
    return frame(Listing(stream.columns, rows))
