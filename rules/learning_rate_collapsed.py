"""The schedule took the learning rate away long before the training was done.

## What it does

Follows the learning rate as it really was, at the end of every epoch. Fires where it fell below a hundredth of its
peak before the middle of the run and never came back, the training data are not fit and most of the first loss is
left, and the loss

- either had no time at all: the rate was gone with the first epoch,
- or was still falling when the rate went: counted not in epochs but in learning rate spent, the second half of it
  still brought a good part of the whole fall.

The second count is what separates a schedule that was too fast from a loss at its floor, whose rate may go where it
likes. Cosine, one-cycle and step schedules end near zero, but spend only their last tenth there; a cyclic rate comes
back; `ReduceLROnPlateau` acts after the loss has stopped.

## Why it hurts

What remains of the epochs trains nothing. The curve is flat and looks converged.

## Example

    for x, y in train_loader:
        ...
        optimizer.step()
        scheduler.step()  # ExponentialLR(gamma=0.9) is meant for epochs: after 50 batches 0.5 % are left

## When it is wrong

A decay as fast as this can be meant, to freeze a model after its first epochs; then the data are usually fit, and the
rule is silent. Losses that were never going to fall look alike where the rate was gone with the first epoch.

## References

- PyTorch, `torch.optim`, How to adjust learning rate: a scheduler is stepped after the epoch's training loop, unless it
  is made for batches. https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
- PyTorch, `OneCycleLR`: "changes the learning rate after every batch".
  https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import Values, initial_loss, is_finite, skill

FEWEST = 4  # epochs: of three, none is the middle


@rule(
    kind="optimisation",
    needs=["train_loss", "epoch_lr", "lr"],
    optional=["step_loss", "clean_train_score", "chance_score", "scheduler", "scheduler_steps"],
    remedies=["schedule_per_epoch", "learning_rate_schedule"],
    explains=[
        "dead_units",
        "label_noise",
        "learning_rate_too_low",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
    ],
)
def learning_rate_collapsed(
    run: Evidence,
    *,
    gone: Annotated[
        float,
        Convention("a hundredth: a cosine spends its last 6 % there, one-cycle its last 7 %, steps of 10 two steps"),
    ] = 1e-2,
    half: Annotated[
        float, Convention("of the epochs: no schedule that ends at zero is there before its last third")
    ] = 0.5,
    left: Annotated[
        float, Measured("fixtures/learning_rate_collapsed/faulty.py: 0.94 of the first loss; its fixed twin 0.04")
    ] = 0.5,
    fit: Annotated[float, Convention("nine tenths of the way from guessing to perfect: nothing was lost")] = 0.9,
    falling: Annotated[
        float,
        Convention(
            "of the fall by the second half of the rate spent: 0.5 is a straight line, 0.12 a curve that settled"
        ),
    ] = 0.2,
) -> Finding | None:
    losses, rates = run.curve("train_loss"), run.curve("epoch_lr")
    start = initial_loss(run)
    planned = max(len(losses), run.info.epochs or 0) if not run.info.step_based else len(losses)
    if len(losses) < FEWEST or len(rates) != len(losses) or not is_finite(losses, rates) or not start > 0:
        return None
    path = np.concatenate([[run.layers("lr").values[0].max()], rates.values])
    peak = float(path.max())
    low = path < gone * peak
    since = len(low) - int(np.argmin(low[::-1]))  # the epoch after the last one whose rate was not yet gone
    if peak <= 0 or not low.any() or not low[-1] or since > half * planned or losses.last < left * start:
        return None
    if run.has("clean_train_score") and run.has("chance_score") and skill(run) > fit:
        return None
    if since > 1 and _late_share(path, start, losses.values) < falling:
        return None
    stepped = _stepped(run)
    when = f"{'the first epoch' if since == 1 else f'{since} epochs'} of {planned}"
    if run.info.step_based:
        when = f"{since / planned:.0%} of the steps"
    return Finding(
        message=f"The learning rate collapsed: after {when} it was {path[since] / peak:.1g} of its peak{stepped}, and "
        f"the loss stopped at {losses.last:.3g} of {start:.3g}.",
        numbers=(
            Number(
                text=f"rate after epoch {since} {path[since] / peak:.1g} of its peak",
                value=float(path[since] / peak),
                threshold=gone,
            ),
            Number(
                text=f"{losses.last / start:.0%} of the first loss is left", value=losses.last / start, threshold=left
            ),
        ),
        confidence=0.95 if stepped else 0.85,
        first_step="Call scheduler.step() once an epoch and not with every batch."
        if stepped
        else "Make the schedule as long as the run, or its decay slower.",
        since=since - 1,
    )


def _late_share(path: Values, start: float, losses: Values) -> float:
    """The part of the whole fall that the second half of the learning rate spent brought.

    An epoch spends the mean of the rates at its two ends.
    """
    spent = np.concatenate([[0.0], np.cumsum((path[1:] + path[:-1]) / 2)])
    curve = np.concatenate([[start], losses])
    middle = float(np.interp(spent[-1] / 2, spent, curve))
    total = start - float(losses[-1])
    return (middle - float(losses[-1])) / total if total > 0 else 0.0


def _stepped(run: Evidence) -> str:
    """Where it is known that the scheduler was stepped with every batch: a clause that says so.

    A loop that counts steps has no other way to step it.
    """
    if run.info.step_based:
        return ""
    steps = run.fact("scheduler_steps") if run.has("scheduler_steps") else None
    if not isinstance(steps, int) or steps <= 1:
        return ""
    name = run.fact("scheduler") if run.has("scheduler") else None
    return f" ({name} was stepped {steps} times in the first epoch)"
