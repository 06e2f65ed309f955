"""Which way is better: ``min``, ``max``, or ``auto`` by the metric's name."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

from tracker.errors import BadValue
from tracker.policies.metric_names import Better, better_by_name
from tracker.states import DirectionSource
from tracker.values import from_json

TRACKER = "tracker-1"
KERAS = "keras-3.15"
TRANSFORMERS = "transformers-5"
LIGHTNING = "lightning-2.6"
RULES = (TRACKER, KERAS, TRANSFORMERS, LIGHTNING)
MODES = ("auto", "min", "max")
DECLARED = (None, "min", "max", "none")
"""What a user may declare for a metric: which way is better, or that it has no best."""


def check_declared(mode: str | None) -> None:
    """Check which way a user says is better for a metric.

    Raises:
        BadValue: it is not in `DECLARED`.
    """
    if mode not in DECLARED:
        raise BadValue(f"mode is {mode!r}: possible are 'min', 'max', and 'none' for no best.")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Keras asks the compiled metric for its `_direction`. A policy has no model: these are the metrics
# that Keras 3.15.1 ships with one, by name, in lower case and without underscores.
_KERAS_MAX = _names(
    """acc accuracy binaryaccuracy categoricalaccuracy sparsecategoricalaccuracy
    topkcategoricalaccuracy sparsetopkcategoricalaccuracy auc precision recall precisionatrecall
    recallatprecision sensitivityatspecificity specificityatsensitivity f1score fbetascore iou
    binaryiou meaniou onehotiou onehotmeaniou cosinesimilarity r2score concordancecorrelation
    pearsoncorrelation"""
)
_KERAS_MIN = _names(
    """mse mae mape msle bce meansquarederror rootmeansquarederror meanabsoluteerror
    meanabsolutepercentageerror meansquaredlogarithmicerror logcosh logcosherror binarycrossentropy
    categoricalcrossentropy sparsecategoricalcrossentropy kldivergence poisson hinge squaredhinge
    categoricalhinge"""
)

# `tracker-1` reads the last word of a name that says something.
_MAX_WORDS = _names(
    """acc accuracy auc auroc auprc roc prc ap map precision recall sensitivity specificity f1 f2
    fscore fbeta r2 iou miou jaccard dice similarity correlation pearson spearman kappa mcc ndcg mrr
    bleu rouge meteor psnr ssim reward hit hits elbo likelihood"""
)
_MIN_WORDS = _names(
    """loss losses cost error err mse mae rmse mape smape msle rmsle nll ppl perplexity crossentropy
    entropy bce logloss logcosh hinge poisson kl kld divergence distance wer cer eer fid kid brier
    regret deviance huber"""
)
_SILENT_WORDS = _names(
    """val valid validation train training test eval epoch step batch mean avg average sum score
    rate coef coefficient index macro micro weighted per class pct percent top at k ema
    total"""
)
_SEGMENTS = re.compile(r"[A-Za-z0-9]+")
_HUMPS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_UNIQUE = re.compile(r"_\d+$")


def direction_of(monitor: str, mode: str, rules: str) -> str:
    """Return ``"min"`` or ``"max"``.

    Args:
        monitor: name of the metric.
        mode: ``min`` and ``max`` stand; ``auto`` goes by the name. Under ``keras-3.15`` that is
            ``loss``, ``val_loss`` and the metrics that Keras 3.15.1 ships with a direction, and an
            unknown mode counts as ``auto`` with a warning, as in Keras. Under ``tracker-1`` it is
            the last telling word: ``val/top5_acc`` is max, ``train_loss_epoch`` is min.
        rules: one of `RULES`.

    Raises:
        BadValue: the name does not tell, or the mode is unknown under ``tracker-1``.
    """
    if mode not in MODES:
        if rules != KERAS:
            raise BadValue(
                f"mode is {mode!r}: it must be one of {', '.join(MODES)}. Pass one of them."
            )
        warnings.warn(f"mode {mode!r} is unknown and counts as 'auto', as in Keras.", stacklevel=3)
    if mode in ("min", "max"):
        return mode
    direction = _as_keras(monitor) if rules == KERAS else _by_words(monitor)
    if direction is None:
        raise BadValue(
            f"mode is 'auto', but the name of the metric {monitor!r} does not say which way is "
            f"better. Pass mode='min' or mode='max'."
        )
    return direction


def _as_keras(monitor: str) -> str | None:
    name = monitor.removeprefix("val_")
    name = _UNIQUE.sub("", name).replace("_", "").lower() if name != "loss" else name
    if name == "loss" or name in _KERAS_MIN:
        return "min"
    return "max" if name in _KERAS_MAX else None


def _by_words(monitor: str) -> str | None:
    """Return what the last telling word says, unless the whole name says more: ``neg_mse``, ``kl_coef``."""
    told = _as_keras(monitor) or _by_last_word(monitor)
    better = None if told is None else better_by_name(monitor)
    if better is None:
        return told
    return None if better is Better.NEITHER else better.value


def _by_last_word(monitor: str) -> str | None:
    for segment in reversed(_SEGMENTS.findall(monitor)):
        for word in (segment, *reversed(_HUMPS.findall(segment))):
            if (direction := _of_word(word.lower())) is not None:
                return direction
        if not _silent(segment):
            return None
    return None


def _of_word(word: str) -> str | None:
    for name in (word, word.rstrip("0123456789")):
        if name in _MIN_WORDS:
            return "min"
        if name in _MAX_WORDS:
            return "max"
    return None


def _silent(segment: str) -> bool:
    return segment.lower().rstrip("0123456789") in _SILENT_WORDS | {""}


@dataclass(frozen=True)
class Direction:
    """Which way is better for a metric, for lists and sorting.

    Attributes:
        mode: "min" or "max"; None where the metric has no best: a time, a rate, a counter.
        source: who says so.
    """

    mode: str | None
    source: DirectionSource


@lru_cache(maxsize=1024)
def direction_by_name(name: str) -> Direction:
    """Return what a metric's name says; a name that says nothing is guessed to be a loss.

    Names that ``mode="auto"`` understands (`direction_of`) mean the same here; `metric_names` knows
    many more. Neither ever contradicts the other.
    """
    better = better_by_name(name)
    if better is not None:
        return Direction(None if better is Better.NEITHER else better.value, DirectionSource.NAME)
    told = _by_words(name)
    return Direction(told or "min", DirectionSource.NAME if told else DirectionSource.GUESS)


def direction(name: str, mode: str | None = None) -> str:
    """Return ``mode`` where it is "min" or "max"; else what the name says, "min" where it says nothing."""
    if mode in ("min", "max"):
        return mode
    return direction_by_name(name).mode or "min"


@lru_cache(maxsize=256)
def mode_in(config: str | None) -> str | None:
    """Return the ``mode`` in a policy's configuration, a JSON text; None where it has none."""
    mode = (from_json(config) or {}).get("mode")
    return mode if isinstance(mode, str) else None
