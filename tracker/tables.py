"""The tables as statements name them: columns without types, keys or models.

Building the models of `tracker.models` costs half of what a short command takes; a test keeps these
equal to them.
"""

from __future__ import annotations

from sqlalchemy import Boolean, TableClause, column, table


def _table(name: str, names: str, flags: str = "") -> TableClause:
    return table(
        name,
        *(column(one) for one in names.split()),
        *(column(one, Boolean()) for one in flags.split()),
    )


RUN = _table(
    "run", "id name experiment status reason error started ended seconds epochs parent_id note"
)
ATTEMPT = _table(
    "attempt",
    "id run_id number status reason error started heartbeat ended first_epoch host boot_id "
    "pid_namespace pid process_started captured spooled dropped waited",
)
PARAM = _table("param", "run_id name kind text number")
TAG = _table("tag", "run_id name value")
EPOCH = _table("epoch", "id run_id attempt epoch started seconds learning_rate", "superseded")
METRIC = _table("metric", "epoch_id name position value value_kind")
SUMMARY = _table("summary", "run_id name last last_kind last_epoch min min_epoch max max_epoch")
SERIES = _table("series", "id run_id name")
CLOCK = _table("clock", "run_id attempt number calls first_step last_step started payload", "final")
BLOCK = _table("block", "series_id attempt number points first_step last_step payload")
POLICY = _table("policy", "id run_id attempt number kind monitor rules config")
CHECKPOINT = _table(
    "checkpoint",
    "id run_id attempt policy_id path bytes sha256 epoch step monitor value value_kind metrics "
    "state created",
    "pending pinned",
)
DECISION = _table(
    "decision",
    "id run_id attempt number policy_id epoch step monitor value value_kind best best_kind "
    "best_epoch wait verdict reason lr_before lr_after path state decided",
    "superseded",
)

ALL = (
    RUN, ATTEMPT, PARAM, TAG, EPOCH, METRIC, SUMMARY, SERIES, CLOCK, BLOCK, POLICY, CHECKPOINT, DECISION,
)  # fmt: skip
