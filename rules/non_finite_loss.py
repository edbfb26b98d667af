"""The loss becomes NaN or infinite.

## What it does

Looks for the first loss, of a training step or of a validation, that is not a number. One such value is enough. The
finite losses just before tell two kinds apart: a loss that grew first has blown up; a loss that was ordinary one step
earlier met an input or an operation that is not defined.

A loop that skips a bad batch and trains on is told so in a note.

## Why it hurts

One step with a NaN gradient makes every weight NaN, and no later step brings them back. The model still prints an
accuracy: `argmax` of NaN is class 0.

## Example

    x = (x - x.mean(0)) / x.std(0)  # a column that is constant gives 0 / 0

With `x.std(0) + 1e-6` the same program trains.

## When it is wrong

Under mixed precision with a `GradScaler`, gradients overflow now and then on purpose and the step is skipped; the
loss stays finite, and the rule is silent. A loss that is infinite by design (the log-likelihood of an impossible
event, masked out later) fires it.

## References

- PyTorch, `torch.autograd.detect_anomaly`: raises in the backward pass that makes the first NaN and prints the
  forward operation. https://docs.pytorch.org/docs/stable/autograd.html
- Amazon SageMaker Debugger, rule ExplodingTensor: NaN and infinity in any tensor.
  https://github.com/awsdocs/amazon-sagemaker-developer-guide/blob/master/doc_source/debugger-built-in-rules.md
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import LAST


@rule(
    kind="signal",
    needs=["train_loss"],
    optional=["step_loss", "val_loss", "first_non_finite"],
    remedies=["learning_rate", "clip_gradients", "skip_bad_steps"],
    explains=[
        "dead_units",
        "learning_rate_too_low",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "vanishing_gradients",
    ],
    at_once=True,
)
def non_finite_loss(
    run: Evidence,
    *,
    growth: Annotated[float, Convention("an order of magnitude: ordinary batches differ by less")] = 10.0,
) -> Finding | None:
    losses = run.curve("step_loss" if run.has("step_loss") else "train_loss")
    step = _first_step(run)
    bad = losses.at[~np.isfinite(losses.values)]
    if step is None and len(bad):
        step = int(bad[0])
    if step is None:
        return _validation(run)
    before = losses.values[np.isfinite(losses.values) & (losses.at < step)]
    grew = float(before[-LAST:].max() / before[0]) if len(before) and before[0] > 0 else 1.0
    after = losses.values[losses.at > step]
    recovered = bool(len(after) and np.isfinite(after[-LAST:]).all())
    if not len(before):
        story = "no loss was ever finite"
        first = "Look for NaN and infinity in the inputs and in what was done to scale them."
    elif grew > growth:
        story = f"it had grown {grew:.2g}-fold before"
        first = "Lower the learning rate tenfold; if that is not enough, clip the gradients."
    else:
        story = "it was ordinary until then"
        first = (
            "Look for NaN in the inputs, and for a log, a square root or a division at zero; "
            "torch.autograd.detect_anomaly names the operation."
        )
    return Finding(
        message=f"The training loss is not a number since step {step}; {story}."
        if not recovered
        else f"The training loss was not a number at step {step}, and was finite again later.",
        numbers=(Number(text=story, value=grew, threshold=growth),),
        confidence=1.0,  # a fact, not an estimate
        first_step=first,
        since=step,
        severity="note" if recovered else "problem",
    )


def _first_step(run: Evidence) -> int | None:
    """The step as the run counted it, which misses none; the sampled losses may."""
    step = run.table("first_non_finite").get("step") if run.has("first_non_finite") else None
    return step if isinstance(step, int) else None


def _validation(run: Evidence) -> Finding | None:
    curve = run.curve("val_loss") if run.has("val_loss") else None
    if curve is None or np.isfinite(curve.values).all():
        return None
    epoch = int(curve.at[~np.isfinite(curve.values)][0])
    return Finding(
        message=f"The validation loss is not a number since epoch {epoch}, while the training loss is finite.",
        numbers=(Number(text=f"first at epoch {epoch}", value=float("nan")),),
        confidence=1.0,
        first_step="Look for NaN in the validation inputs, and for values there that training never shows.",
        since=epoch,
    )
