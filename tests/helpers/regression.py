"""A model of two numbers for the Trainer of Transformers, so that a training takes no time."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel


class RegressionConfig(PretrainedConfig):  # type: ignore[misc]
    """Has nothing to set."""

    model_type = "regression-of-the-tests"


class Regression(PreTrainedModel):  # type: ignore[misc]
    """Fits ``a * x + b``."""

    config_class = RegressionConfig

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        self.a = torch.nn.Parameter(torch.zeros(()))
        self.b = torch.nn.Parameter(torch.zeros(()))
        self.post_init()

    def _init_weights(self, module: Any) -> None:
        """Leave the zeros."""

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None, **_: Any) -> Any:
        """Return the loss, where there are labels, and what is predicted."""
        predicted = self.a * x + self.b
        if labels is None:
            return (predicted,)
        return torch.nn.functional.mse_loss(predicted, labels), predicted


def rows(count: int, slope: float = 2.0, shift: float = 3.0) -> list[dict[str, float]]:
    """Return rows on a line, with a little noise that is the same each time."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, generator=generator)
    y = slope * x + shift + 0.1 * torch.randn(count, generator=generator)
    return [{"x": a, "labels": b} for a, b in zip(x.tolist(), y.tolist(), strict=True)]
