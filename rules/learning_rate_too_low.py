"""The steps are so short that the training hardly moves, or stopped moving when a schedule took the rate away.

## What it does

Fires where the steps were so short that much of the way is still ahead at the end. One case is shown by an experiment:

- tested: a range test on copies of the model suggests at least five times the rate that was used, while the training
  loss was still falling at the end, the training data are not yet fit, and the validation loss does not rise.

The others are seen in the run itself, where more than half of the first loss is left:

- small: the typical layer moves by less than 1e-4 of its length in a typical step and never made a long one, and the
  loss either hardly fell at all or was still falling at the end as fast as ever;
- gone: for more than half of the run the learning rate was below a thousandth of its own peak.

The length of the steps is what separates it from `slow_convergence` and `too_few_epochs`, whose steps are ordinary.
Layers that do not move at all are left out: they are not trained, whatever the rate. A network that one long step has
killed makes short steps ever after; it needs a lower rate, not a higher one, and the long step tells.

## Why it hurts

"With low learning rates the improvements will be linear" (CS231n): the run ends before it has begun.

## Example

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)

    for x, y in train_loader:
        ...
        scheduler.step()  # ExponentialLR, meant for epochs, called for each batch

## When it is wrong

Gradients that were clipped to nothing, or that vanish, make the same short steps at a sensible rate; a higher rate
then treats the symptom. A pretrained model that needs no training stays where it is on purpose; where its training
score is good, the rule is silent.

## References

- Smith (2017), Cyclical Learning Rates for Training Neural Networks: the range test. arXiv:1506.01186
- Stanford CS231n, Neural Networks 3: improvements are linear at low rates; updates should be about 1e-3 of the
  weights. https://cs231n.github.io/neural-networks-3/
- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml, low_updates_min_thresh: updates below 10^-4 of the
  weights. https://github.com/thedeepchecker/thedeepchecker
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Curve
from advisor.progress import (
    end,
    evenly,
    initial_loss,
    is_finite,
    noise,
    pace,
    share_of_late_fall,
    skill,
    slope_t,
    smooth,
    typical_updates,
)


@rule(
    kind="optimisation",
    needs=["train_loss", "update_ratio"],
    optional=["step_loss", "val_loss", "lr", "clean_train_score", "chance_score", "probe.learning_rate_range"],
    remedies=["learning_rate", "learning_rate_schedule", "optimizer", "more_epochs"],
    probes=["learning_rate_range"],
    explains=["dead_units", "slow_convergence", "too_few_epochs", "underfitting"],
)
def learning_rate_too_low(
    run: Evidence,
    *,
    small: Annotated[float, Cited("TheDeepChecker, settings.yaml: low_updates_min_thresh -4 (log10)")] = 1e-4,
    long: Annotated[float, Convention("ten times the 1e-3 that CS231n says is about right")] = 1e-2,
    left: Annotated[float, Convention("half of the way: what is nearly done needs no longer steps")] = 0.5,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: a model that needed no steps")] = 0.5,
    barely: Annotated[
        float, Measured("fixtures/learning_rate_too_low/faulty.py: nothing in 20 epochs; its fixed twin 97 %")
    ] = 0.05,
    steady: Annotated[float, Convention("a straight line has 1; a settled curve is near 0")] = 0.4,
    gone: Annotated[
        float, Convention("cosine and one-cycle schedules spend 2 % of a run below a thousandth of the peak, not half")
    ] = 1e-3,
    ratio: Annotated[float, Convention("rates are tried by decades, and a range test is sharp to a factor of 3")] = 5.0,
    room: Annotated[float, Convention("nine tenths of the way from guessing to perfect: what is left is a tail")] = 0.9,
    clear: Annotated[float, Convention("t of a slope: 3 standard errors, 1 in 740 by chance for a normal error")] = 3.0,
    moving: Annotated[
        float, Convention("of the loss in the last quarter of the run: less is the tail of a curve")
    ] = 0.01,
) -> Finding | None:
    losses = run.curve("train_loss")
    start = initial_loss(run)
    tested = None if _rises(run) else _tested(run, losses, ratio, room, clear, moving)
    if tested is not None:
        return tested
    if run.has("clean_train_score") and run.has("chance_score") and skill(run) > fit:
        return None
    if not is_finite(losses) or not np.isfinite(start) or start <= 0 or losses.last / start < left:
        return None
    collapse = _collapse(run)
    updates = typical_updates(run)
    fell = 1.0 - losses.last / losses.first  # of two means over the same data; the first step saw one batch
    if collapse is not None and collapse[0] < gone:
        share, since = collapse
        return Finding(
            message=f"The learning rate was taken away: it is below {share:.1g} of its peak for half of the run, and "
            f"the loss stopped at {losses.last:.3g} of {start:.3g}.",
            numbers=(Number(text=f"median rate {share:.1g} of the peak", value=share, threshold=gone),),
            confidence=0.9,
            first_step="Call scheduler.step() once an epoch, or choose a schedule as long as the run.",
            since=since,
        )
    if not len(updates) or np.median(updates) > small or updates.max() > long:
        return None
    if fell > barely and pace(start, losses.values) < steady:
        return None
    return _finding(run, float(np.median(updates)), small, losses)


def _tested(run: Evidence, losses: Curve, ratio: float, room: float, clear: float, moving: float) -> Finding | None:
    """What the range test on copies shows, where the run itself still had a way to go."""
    if not run.has("probe.learning_rate_range") or not run.has("clean_train_score") or not run.has("chance_score"):
        return None
    probe = run.table("probe.learning_rate_range")
    suggested, used = probe.get("suggested"), probe.get("used")
    if not isinstance(suggested, int | float) or not isinstance(used, int | float) or used <= 0:
        return None
    falls = is_finite(losses) and slope_t(losses.values) <= -clear and share_of_late_fall(losses.values) >= moving
    if suggested < ratio * used or not falls or skill(run) > room:
        return None
    return Finding(
        message=f"The learning rate is too low: after {len(losses)} epochs the training loss ({losses.last:.3g}) is "
        f"still falling, and a range test on copies suggests {suggested:.2g}, {suggested / used:.0f} times the rate "
        "that was used.",
        numbers=(
            Number(text=f"suggested {suggested:.2g}, used {used:.2g}", value=suggested / used, threshold=ratio),
            Number(text=f"{skill(run):.0%} of the way to a perfect fit", value=skill(run), threshold=room),
        ),
        confidence=0.8,
        first_step=f"Raise the learning rate from {used:.2g} to {suggested:.2g}.",
        since=0,
        confirmed_by=("learning_rate_range",),
    )


def _rises(run: Evidence) -> bool:
    """Whether validation got worse again: then longer steps are not what is lacking."""
    if not run.has("val_loss") or not is_finite(run.curve("val_loss")):
        return False
    values = run.curve("val_loss").values
    lowest = float(smooth(values).min())
    return end(values) > lowest + noise(values)


def _collapse(run: Evidence) -> tuple[float, int] | None:
    """(median over peak of the largest param_group's rate, step at which it fell below a thousandth)."""
    if not run.has("lr"):
        return None
    rates = run.layers("lr")
    highest = evenly(rates).max(axis=1)
    if highest.max() <= 0:
        return None
    low = rates.steps[rates.values.max(axis=1) < highest.max() / 1000]  # only to say when
    return float(np.median(highest) / highest.max()), int(low[0]) if len(low) else 0


def _finding(run: Evidence, update: float, small: float, losses: Curve) -> Finding | None:
    numbers = [Number(text=f"a typical step moves {update:.1g} of the weights", value=update, threshold=small)]
    confidence, first = 0.8, "Multiply the learning rate by ten, and again while the loss falls faster."
    confirmed: tuple[str, ...] = ()
    if run.has("probe.learning_rate_range"):
        probe = run.table("probe.learning_rate_range")
        suggested, used = probe.get("suggested"), probe.get("used")
        if isinstance(suggested, int | float) and isinstance(used, int | float) and used > 0:
            if suggested <= used:
                return None  # longer steps were tried on copies and did not help
            confidence, confirmed = 0.9, ("learning_rate_range",)
            numbers.append(Number(text=f"a range test suggests {suggested:.2g}, used {used:.2g}", value=suggested))
            first = f"Raise the learning rate from {used:.2g} to {suggested:.2g}."
    return Finding(
        message=f"The learning rate is too low: a typical step moves the weights by {update:.1g} of their length, and "
        f"in {len(losses)} epochs the loss went from {losses.first:.4g} to {losses.last:.4g}.",
        numbers=tuple(numbers),
        confidence=confidence,
        first_step=first,
        since=0,
        confirmed_by=confirmed,
    )
