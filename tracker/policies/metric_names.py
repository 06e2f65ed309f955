"""What a metric's name says: whether lower or higher is better, or that it has no best at all.

For lists, sorting and plots, where a guess helps and is called one. What a callback decides with
``mode="auto"`` goes by the much stricter rules of `tracker.policies.modes`, which refuse a name that
does not tell.

A name is read from its end, word by word: ``val/top5_acc`` ends in ``acc``, ``train_loss_epoch`` in
``loss``, since ``epoch`` only says over what was averaged. Prefixes such as ``val_``, ``eval/`` or
``test-`` say nothing, and neither does a unit or label in brackets: ``mAP50(B)``. Of ``fpr@95tpr`` and
``precision_at_recall`` what stands before the "at" counts, and whatever is called a loss is one:
``loss_giou``. ``neg_``, ``1-`` and a minus turn a direction round, as in scikit-learn's
``neg_mean_squared_error``. A coefficient or weight of a loss has no best: ``kl_coef``.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache


class Better(Enum):
    """Which way is better."""

    LOWER = "min"
    HIGHER = "max"
    NEITHER = "none"
    """Times, rates of throughput, counters, learning rates: they have a least and a greatest, but no best."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HIGHER = _words(
    """acc accuracy accuracies auc auroc auprc aucpr roc prc ap ap50 ap75 map map50 mar ar precision prec recall
    rec sensitivity specificity f1 f2 f05 fscore fmeasure fbeta f1score r2 rsquared iou miou giou jaccard
    dice dsc similarity cosine correlation corr pearson pearsonr spearman spearmanr kendall kendalltau
    concordance ccc lin kappa qwk mcc matthews phi informedness ndcg dcg mrr bleu sacrebleu bleurt rouge
    rouge1 rouge2 rougel rougelsum meteor cider spice chrf bertscore comet psnr ssim msssim snr sisnr sdr
    sisdr pesq stoi mos reward rewards rew return returns score scores success successes win wins winrate
    elo hit hits hitrate likelihood elbo loglikelihood margin coverage purity nmi ami ari silhouette
    homogeneity completeness vmeasure tpr tnr ppv npv gain lift quality fitness utility profit sharpe
    exact match em correct agreement consistency fidelity validity diversity novelty explained evidence
    mutual r2score pass solved solve goals goal tar completion conversion acceptance ctr logp logps logprob
    logprobs ll truepositive truepositives truenegative truenegatives positivepredictivevalue cossim gini
    gmean youden hota mota motp idf1 pck oks las uas mmlu gsm8k humaneval hellaswag pnl calinskiharabasz"""
)
_LOWER = _words(
    """loss losses cost costs err error errors mse mae rmse nrmse mape smape mdape wape mase rmsse msle rmsle sse
    rss nll ppl perplexity crossentropy xent ce bce entropy logloss mlogloss merror logcosh hinge poisson
    kl kld kldiv divergence jsd distance dist wer cer ter eer der per fid kid lpips brier ece mce ace
    regret deviance huber pinball quantile crps chamfer hausdorff hd95 assd emd wasserstein fpr fnr far
    frr fdr collision collisions violation violations failure failures miss misses misclassification
    mistakes energy penalty residual bpd bpc bpb bits gap aic bic rank shortfall drawdown surprise mad
    medae maxerror nelbo l1 l2 infonce ntxent focal rmspe mpe nllloss nats mer wil dcf mindcf niqe brisque nrqm
    mmd hellinger fad fvd ade fde minade minfde mpjpe epe absrel sqrel silog asd div inertia distortion tweedie
    falsepositive falsepositives falsenegative falsenegatives crash crashes daviesbouldin"""
)
_NEITHER = _words(
    """lr learningrate time times duration dur seconds second secs sec s ms us ns minute minutes mins hour hours
    elapsed eta runtime walltime latency throughput fps ips qps tps speed step steps epoch epochs
    iteration iterations iter iters batches count counts counter num n samples examples tokens frames
    episodes episode flos flops params parameters size length len memory mem vram ram util utilization
    usage temperature temp power watts norm momentum decay weightdecay beta beta1 beta2 epsilon eps gamma
    timestep timesteps timestamp progress pct percentdone index idx id seed rank0 gradnorm scale lossscale
    version port wd clipfrac clipfraction its mfu hfu tflops gflops pflops kwh joules cpu gpu batch dropout
    patience wait"""
)
_MODIFIERS = _words(
    """val valid validation dev train training test testing eval evaluation holdout final epoch step batch iter
    mean avg average median sum total all overall global max min best last running smoothed smooth ema sma
    std macro micro weighted samples binary class classes per pct percent top at k coef coefficient rate
    ratio raw metric metrics value values index level token tokens image images pixel word words episode
    ep dataloader idx rollout eval0 student teacher model net logits output"""
)
"""Words that say over what, or how, something was taken."""

_WEAK = _MODIFIERS | _words("score scores rate l1 l2 cpu gpu")
"""What gives way to a telling word before it: ``fid_score`` is an FID, ``loss_step`` a loss."""

_PER_TIME = re.compile(
    r"(?:^|[^a-z])(?:per|/)[_ ]?(?:s|sec|secs|second|seconds|ms|min|minute|minutes|hour|hours|h|day)$|/s$|it/s"
)
_RATES = _words(
    "learning lr decay sample frame token step refresh sampling data dropout drop clip exploration"
)
"""What makes of a ``rate`` something without a best: a learning rate, a frame rate."""
_SPLIT = re.compile(r"[A-Za-z]+|\d+")
_HUMPS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_NEGATED = _words("neg negative minus")
_MINUS = re.compile(r"(?:^|/)(?:1\s*)?-\s*[a-z]")
"""What turns a direction round without a word: ``1-acc``, ``-loss``."""
_LOSSES = _words("loss losses")
_FACTORS = _words("coef coeff coefficient weight weights alpha beta lambda")
"""What makes a setting of a loss: its weight in a sum."""
_BRACKETS = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])\s*$")
_AT = re.compile(r"@|(?<=[a-z0-9])_at_", re.IGNORECASE)
_AT_K = _words("p r hr")
"""Precision, recall and hit ratio, where ``@k`` follows."""


@lru_cache(maxsize=4096)
def better_by_name(name: str) -> Better | None:
    """Return what a metric's name says; None where it says nothing."""
    name = _BRACKETS.sub("", name) or name
    lowered = name.strip().lower()
    if _PER_TIME.search(lowered):
        return Better.NEITHER
    words = _split(name)
    if _is_learning_rate(words):
        return Better.NEITHER
    found = _telling_before_at(name) or _telling(words)
    if found is None:
        return None
    better, place = found
    if better is Better.LOWER and words[-1] in _FACTORS:
        return Better.NEITHER
    return _turned(better) if _is_negated(words, place) != bool(_MINUS.search(lowered)) else better


def _split(name: str) -> list[str]:
    """Return the words of a name, in lower case; a number goes with the word before it: ``top5``, ``f1``."""
    words: list[str] = []
    for part in _SPLIT.findall(name):
        if part.isdigit() and words:
            words[-1] += part
        else:
            humps = [part] if part.islower() or part.isupper() else _HUMPS.findall(part)
            words += [hump.lower() for hump in humps]
    return words


def _is_learning_rate(words: list[str]) -> bool:
    joined = " ".join(_bare(word) for word in words)
    return bool(re.search(r"\b(lr|learning rate|learningrate|weight decay)\b", joined))


def _telling_before_at(name: str) -> tuple[Better, int] | None:
    """Return what the part before an "at" says: the metric, of which the rest says where it was read."""
    before, *after = _AT.split(name, maxsplit=1)
    words = _split(before)
    if not after or not words:
        return None
    return (Better.HIGHER, len(words) - 1) if words[-1] in _AT_K else _telling(words)


def _telling(words: list[str]) -> tuple[Better, int] | None:
    """Return what the last telling word says, and where it stands; a loss is one by any name."""
    found = _last_telling(words)
    if found is None or found[0] is not Better.HIGHER:
        return found
    losses = [place for place, word in enumerate(words[: found[1]]) if _bare(word) in _LOSSES]
    return (Better.LOWER, losses[-1]) if losses else found


def _last_telling(words: list[str]) -> tuple[Better, int] | None:
    for place in range(len(words) - 1, -1, -1):
        word, pair = words[place], "".join(words[max(0, place - 1) : place + 1])
        rest = words[:place]
        for said in (pair, word, _bare(word)):
            better = _of_word(said)
            if better is None:
                continue
            if said in _WEAK and (earlier := _last_telling(rest)) is not None:
                return earlier
            return better, place
        if _bare(word) == "rate" and rest and _bare(rest[-1]) in _RATES:
            return Better.NEITHER, place
        if re.fullmatch(r"top\d+", word):
            return _last_telling(rest) or (Better.HIGHER, place)
        if word not in _MODIFIERS and _bare(word) not in _MODIFIERS | {""}:
            # Likely a label, such as a class or a data set: ``accuracy_cat``, ``loss/cifar10``, ``psnr_y``.
            return _last_telling(rest)
    return None


def _of_word(word: str) -> Better | None:
    if word in _LOWER:
        return Better.LOWER
    if word in _HIGHER:
        return Better.HIGHER
    return Better.NEITHER if word in _NEITHER else None


def _bare(word: str) -> str:
    return word.rstrip("0123456789")


def _is_negated(words: list[str], place: int) -> bool:
    """Say whether ``neg_`` stands before: scikit-learn's scores; ``negative_log_likelihood`` is a loss by itself."""
    before = words[:place]
    if words[max(0, place - 1) : place + 1] == ["log", "likelihood"]:
        before = words[: place - 1]
    return any(word in _NEGATED for word in before)


def _turned(better: Better) -> Better:
    return {Better.LOWER: Better.HIGHER, Better.HIGHER: Better.LOWER}.get(better, better)
