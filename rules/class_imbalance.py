"""Some classes are so rare in training that the model never names them, although it has learnt what they look like.

## What it does

Fires where the classes are far from balanced in the batches that the loss gets, or one of many has a small part of an
equal share, less than chance gives in so few samples, and a rare class is recognised in less than half of its
validation samples, much less often than the common ones, and named less than half as often as it occurs, although its
score is clearly higher on its own samples than on others: the model knows, and does not say it.

Imbalance alone is no fault. Where the rare class is recognised, or a sampler shows it more often, the rule is silent.
What counts is a class's part in the loss: how often it is there, times the weight that the loss gives it. Weights that
rise with the classes' shares, where their inverse is meant, make a rare class rarer still; then the finding says so.
Where they are the shares themselves, the class need not have been learnt: they are why it was not.

## Why it hurts

Accuracy does not show it: never naming one sample in fifty is right in 98 %.

## Example

    loss_fn = nn.CrossEntropyLoss()  # 2 % of the labels are 1
    loss_fn = nn.CrossEntropyLoss(weight=counts / counts.sum())  # and with this they count for less

## When it is wrong

Where mistakes cost the same whatever the class, answering with the common one is right. A rare class that cannot be
told from the others is missed too, with or without weights; then its score is no higher on its own samples and the
rule is silent. Who weighs a rare class down on purpose, for the sake of precision, has what was asked for. Classes with
fewer than ten validation samples are not judged.

## References

- Buda et al., A systematic study of the class imbalance problem in convolutional neural networks, 2018: the effect is
  detrimental, oversampling removes it, and overall accuracy is a poor measure. https://arxiv.org/abs/1710.05381
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.class_balance import are_shares, goes_with_counts
from advisor.evidence import Missing
from advisor.progress import share_error

CLEAR = 2.0  # standard errors, of a share or of a separation (1 over the root of the class's samples): 1 in 40
FEWEST = 10  # validation samples of a class: the standard error of its recall is then below 0.16
WEIGH = (
    "Weight the loss by the inverse of each class's share, or draw rare classes more often with a "
    "WeightedRandomSampler; then look at the balanced accuracy."
)
TURN = (
    "Give the loss the inverse of each class's share, weight=counts.sum() / (len(counts) * counts), in the place of "
    "weights that rise with it; then look at the balanced accuracy."
)


@rule(
    kind="data",
    needs=["label_counts", "val_classes"],
    optional=["train_samples"],
    remedies=["class_weights", "balanced_sampling"],
    explains=["learning_rate_too_low", "slow_convergence", "too_few_epochs", "underfitting"],
)
def class_imbalance(
    run: Evidence,
    *,
    balance: Annotated[
        float, Convention("of the perplexity between one class and equal classes: one of two with 13 %")
    ] = 0.5,
    scarce: Annotated[
        float, Convention("of an equal share: the same one of two with 13 %, where the other classes are even")
    ] = 0.26,
    missed: Annotated[float, Convention("half of a class is not recognised")] = 0.5,
    behind: Annotated[float, Convention("of recall behind the common classes: else all are hard alike")] = 0.3,
    said: Annotated[
        float, Convention("of as often as it occurs: half is what makes it missed, and not mistaken")
    ] = 0.5,
    knows: Annotated[
        float, Convention("standard deviations between its own samples and others: what learns nothing has none")
    ] = 0.2,
) -> Finding | None:
    counts = _column(run, "label_counts", "count")
    recall, separation = _column(run, "val_classes", "recall"), _column(run, "val_classes", "separation")
    seen, named = _column(run, "val_classes", "count"), _column(run, "val_classes", "predicted")
    if not len(counts) == len(recall) == len(seen) == len(separation) == len(named) or counts.sum() <= 0:
        return None  # of many classes only the rarest are listed, and not the same ones of both
    weights = _weights(run, counts)
    labelled, shares = counts / counts.sum(), counts * weights / (counts * weights).sum()
    even, equal = balance_of(shares), 1.0 / len(shares)
    by_chance = CLEAR * share_error(equal, run.number("train_samples") if run.has("train_samples") else counts.sum())
    judged = seen >= FEWEST
    rare, common = judged & (shares < 0.5 * equal), judged & (shares >= equal)
    rare &= (even <= balance) | (shares < min(scarce * equal, equal - by_chance))
    if not rare.any() or not common.any():
        return None
    usual = float(np.nanmean(recall[common]))
    known = separation > np.maximum(knows, CLEAR / np.sqrt(np.maximum(seen, 1.0)))
    known |= are_shares(weights.tolist(), counts)
    suffering = rare & (recall < missed) & (usual - recall > behind) & (named < said * seen) & known
    if not suffering.any():
        return None
    worst = int(np.where(suffering, recall, np.inf).argmin())
    others, part = int(suffering.sum()) - 1, float(shares[worst] * len(shares))
    more = f" (and {others} more)" if others else ""
    inverted, weighed = goes_with_counts(weights.tolist(), counts), ""
    if inverted:
        weighed = f", and the loss weighs frequent classes more, which leaves it {shares[worst]:.1%} of the loss,"
    elif weights.min() != weights.max():
        weighed = f", {shares[worst]:.1%} as the loss weighs them,"
    return Finding(
        message=f"Class {worst}{more} has {labelled[worst]:.1%} of the training labels{weighed} and is recognised in "
        f"{recall[worst]:.0%} of its validation samples, the common classes in {usual:.0%}.",
        numbers=(
            Number(text=f"balance {even:.2f} (1 is equal classes)", value=even, threshold=balance)
            if even <= balance
            else Number(text=f"{part:.2f} of an equal share", value=part, threshold=scarce),
            Number(text=f"recall {recall[worst]:.2f}", value=float(recall[worst]), threshold=missed),
            Number(text=f"named {named[worst]:.0f} times, there {seen[worst]:.0f} times", value=float(named[worst])),
            Number(text=f"separation {separation[worst]:.1f} deviations", value=float(separation[worst])),
            *_against(weights, worst),
        ),
        confidence=0.85,
        judge="val_balanced_accuracy",
        first_step=TURN if inverted else WEIGH,
        since=0,
    )


def balance_of(shares: NDArray[np.float64]) -> float:
    """0 for one class alone, 1 for equal shares: (perplexity - 1) / (classes - 1)."""
    there = shares[shares > 0]
    entropy = float(-(there * np.log(there)).sum())
    return (math.exp(entropy) - 1.0) / max(1, len(shares) - 1)


def _weights(run: Evidence, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the classes in the loss; 1 where it has none, or they leave nothing to learn."""
    if run.table("label_counts").get("weight") is None:
        return np.ones_like(counts)
    weights = _column(run, "label_counts", "weight")
    useful = weights.shape == counts.shape and bool((weights >= 0).all()) and float(weights @ counts) > 0
    return weights if useful else np.ones_like(counts)


def _against(weights: NDArray[np.float64], worst: int) -> tuple[Number, ...]:
    """The weight of a class beside the largest, where the loss has weights."""
    if weights.min() == weights.max():
        return ()
    text = f"weight {weights[worst]:.3g}, the largest {weights.max():.3g}"
    return (Number(text=text, value=float(weights[worst])),)


def _column(run: Evidence, name: str, key: str) -> NDArray[np.float64]:
    """A list of a table as numbers, NaN where there is none. Raises: Missing."""
    values = run.table(name).get(key)
    if not isinstance(values, list):
        raise Missing(f"{name}.{key}")
    return np.array([v if isinstance(v, int | float) else math.nan for v in values], dtype=np.float64)
