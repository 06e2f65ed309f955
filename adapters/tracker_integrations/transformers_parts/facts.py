"""What a training is given: the arguments that tell it from others, and the size of its model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from transformers import TrainingArguments

_ALWAYS = (
    "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs",
    "max_steps", "weight_decay", "lr_scheduler_type", "optim", "seed",
)  # fmt: skip
"""The arguments that are recorded also where they have their default."""
_SILENT = (
    "output_dir", "logging_dir", "run_name", "report_to", "logging_first_step", "logging_steps",
    "disable_tqdm",
)  # fmt: skip
"""Arguments that say nothing about what is trained."""


def arguments(args: TrainingArguments) -> dict[str, Any]:
    """Return the arguments that matter for a comparison: the usual ones, and those that were changed."""
    told = {*_ALWAYS, *_changed(args)}.difference(_SILENT)
    return {name: value for name, value in args.to_dict().items() if name in told}


def _changed(args: TrainingArguments) -> Iterator[str]:
    for one in dataclasses.fields(args):
        factory = one.default_factory
        default = one.default if factory is dataclasses.MISSING else factory()
        if one.init and getattr(args, one.name, default) not in (default, None):
            yield one.name


def model_facts(model: Any) -> dict[str, Any]:
    """Return the class of a model, and how many parameters it has, trainable ones too; nothing for None."""
    if model is None:
        return {}
    sizes = [(part.numel(), part.requires_grad) for part in model.parameters()]
    return {
        "class": type(model).__name__,
        "parameters": sum(size for size, _ in sizes),
        "trainable": sum(size for size, trains in sizes if trains),
    }
