"""One term of the loss is a hundred times as large as another, which is not learned.

## What it does

Where the loss is a sum, its terms are followed by themselves: the loss functions that are added up with their weights,
and the rest. The rule looks for a term with targets of its own that in more than half of the run was less than a
hundredth of the largest term, and that at the end is hardly better than the best constant answer: the variance of its
targets, or the entropy of its classes. It is a finding for the first term, which is the task as a rule, and for a
term that was added without a weight below one. A small weight is a choice: then it is a note.

## Why it hurts

The gradient is a sum as well. What the large term wants decides each step, and the small one is noise beside it, the
more so where gradients are clipped.

## Example

    loss = F.cross_entropy(kind, y) + F.mse_loss(price, p)  # prices in the hundred thousands

## When it is wrong

Sizes of losses are compared, not those of gradients: a large term that hardly depends on the weights does not
dominate. Under Adam the layers that only one term reaches are scaled by themselves and learn all the same. A task
that cannot be learned stays at its best constant answer beside any other term.

## References

- Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics,
  CVPR 2018: performance depends strongly on the relative weighting of the tasks' losses.
  https://arxiv.org/abs/1705.07115
- Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017: the L1 term has a
  weight of 100, by choice. https://arxiv.org/abs/1611.07004
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import PART, Values, evenly


@dataclass(frozen=True, slots=True)
class Starved:
    """A term that is not learned; ratio: of the largest term to it, typically; loss: at the end, without its weight."""

    index: int
    larger: int
    ratio: float
    loss: float
    guess: float


@rule(
    kind="wiring",
    needs=["loss_terms", "loss_weights"],
    remedies=["loss_balance"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "unscaled_targets"],
)
def dominant_loss_term(
    run: Evidence,
    *,
    ratio: Annotated[
        float, Convention("a weight of 100 is still chosen on purpose, as by Isola et al., 2017: the limit is there")
    ] = 100.0,
    mostly: Annotated[float, Convention("of the run: more than half of it")] = 0.5,
    learned: Annotated[float, Convention("a quarter of the way from the best constant answer to 0")] = 0.25,
) -> Finding | None:
    terms = run.fact("loss_weights")
    series = run.layers("loss_terms")
    if not isinstance(terms, list) or len(terms) != len(series.names):
        return None
    weights = [_number(term, "weight", 1.0) for term in terms]
    guesses = [_number(term, "guess", 0.0) for term in terms]
    starved = _starved(evenly(series), weights, guesses, ratio, mostly, learned)
    if starved is None:
        return None
    name, other = series.names[starved.index], series.names[starved.larger]
    other = "the rest of the sum" if other == "rest" else other
    chosen = starved.index > 0 and (abs(weights[starved.index]) < 1 or abs(weights[starved.larger]) > 1)
    main = starved.index == 0
    return Finding(
        message=f"In the sum of the loss {other} is {starved.ratio:.0f} times as large as {name}, "
        f"which ends at {starved.loss:.3g} where the best constant answer has {starved.guess:.3g}.",
        numbers=(
            Number(text=f"{starved.ratio:.0f} times as large", value=starved.ratio, threshold=ratio),
            Number(text=f"{name} {starved.loss:.3g}", value=starved.loss, threshold=(1 - learned) * starved.guess),
        ),
        confidence=0.3 if chosen else 0.85 if main else 0.7,
        first_step=f"Scale the terms to like size: divide {other} by about {_round(starved.ratio)}, or standardise its "
        "targets.",
        since=0,
        severity="note" if chosen else "problem",
    )


def _starved(
    values: Values, weights: list[float], guesses: list[float], ratio: float, mostly: float, learned: float
) -> Starved | None:
    """The first such term. values: (time, terms), with their weights."""
    late = max(1, round(PART * len(values)))
    for index, (weight, guess) in enumerate(zip(weights, guesses, strict=True)):
        own, others = values[:, index], np.delete(values, index, axis=1)
        if guess <= 0 or weight == 0 or not np.isfinite(values).all() or not (own > 0).all():
            continue
        ratios = others.max(axis=1) / own
        loss = float(own[-late:].mean() / abs(weight))
        if (ratios > ratio).mean() > mostly and 1 - loss / guess < learned:
            largest = int(np.median(np.delete(values, index, axis=1), axis=0).argmax())
            return Starved(index, largest + (largest >= index), float(np.median(ratios)), loss, guess)
    return None


def _number(term: object, name: str, otherwise: float) -> float:
    value = term.get(name) if isinstance(term, dict) else None
    return float(value) if isinstance(value, int | float) else otherwise


def _round(ratio: float) -> str:
    """To one digit: 347 is about 300."""
    return f"{float(f'{ratio:.0e}'):.0f}"
