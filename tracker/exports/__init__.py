"""Listings as files: CSV, JSON, Parquet; written whole or not at all."""

from __future__ import annotations

from tracker.exports.stream import WHATS, Stream, of_listing, stream
from tracker.exports.target import saved

__all__ = ["WHATS", "Stream", "of_listing", "saved", "stream"]
