"""What was recorded as files: CSV, JSON, Parquet; each is there whole, or not at all."""

from __future__ import annotations

from tracker.exports.stream import CONTENTS, Stream, stream_listing, stream_runs
from tracker.exports.whole_file import save_whole

__all__ = ["CONTENTS", "Stream", "save_whole", "stream_listing", "stream_runs"]
