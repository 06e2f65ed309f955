"""The tables of `tracker.models`, as SQLAlchemy Core knows them."""

from __future__ import annotations

from sqlalchemy import Table

from tracker import models


def table(model: type[models.Table]) -> Table:
    """Return the SQLAlchemy table of a model."""
    return model.__table__  # type: ignore[attr-defined, no-any-return]


RUN = table(models.Run)
ATTEMPT = table(models.Attempt)
PARAM = table(models.Param)
TAG = table(models.Tag)
EPOCH = table(models.Epoch)
METRIC = table(models.Metric)
SUMMARY = table(models.Summary)
POLICY = table(models.Policy)
DECISION = table(models.Decision)
CHECKPOINT = table(models.Checkpoint)
SERIES = table(models.Series)
CLOCK = table(models.Clock)
BLOCK = table(models.Block)
