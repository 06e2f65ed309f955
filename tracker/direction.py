"""Whether lower or higher is better, told from a metric's name."""

from __future__ import annotations

import re

_HIGHER = re.compile(
    r"(^|[_/.\- ])(acc|accuracy|auc|auroc|aupr|precision|recall|f1|f1_?score|fbeta|r2|iou|miou|dice|map|bleu|"
    r"rouge\w*|score|reward|return|kappa|mcc|similarity|top_?k?\d*|hits?|ndcg|mrr|psnr|ssim)($|[_/.\- @\d])"
    r"|accuracy|r2_score|f1_score",
    re.IGNORECASE,
)


def direction(name: str) -> str:
    """Return "max" for names of accuracies and scores (acc, auc, precision, recall, f1, r2, iou, …), else "min"."""
    return "max" if _HIGHER.search(name) else "min"
