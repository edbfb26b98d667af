"""Clipping cuts nearly every gradient to a small part of itself: a tiny learning rate in disguise.

## What it does

Compares the gradient after the backward pass with the one that the optimizer gets. Fires where more than half of the
sampled steps were cut to less than a tenth, the optimizer is one whose step is as long as the gradient (SGD), the steps
are short, and more than half of the first loss is left at the end.

Clipping that binds now and then, or often but mildly, as in recurrent networks, is what it is for. Adam and its
relatives divide by the size of the gradient, so that for them a smaller one is as good. A rate that was chosen for the
clipped gradient makes steps of ordinary length, and is silent too.

## Why it hurts

The loss falls as slowly as with a rate a tenth or a thousandth of the one in the code.

## Example

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ...
    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)      # gradients here have a norm of 1

## When it is wrong

A loop that divides its gradients by a constant, such as a number of samples, makes them smaller without clipping; it is
told by a factor that never changes, which a clipped gradient's would not be. Gradients that are huge by another fault,
such as unscaled inputs, may need the cut.

## References

- Deep Learning Tuning Playbook (Godbole et al., 2023): "Extremely aggressive gradient clipping is in essence a strange
  way of reducing the learning rate"; "We would usually consider having >50% of the updates getting clipped somehow as
  "extremely aggressive"." https://github.com/google-research/tuning_playbook
- Stanford CS231n, Neural Networks 3: updates should be about 1e-3 of the weights.
  https://cs231n.github.io/neural-networks-3/
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Number, rule
from advisor.progress import end, initial_loss, is_finite, typical_updates

PROPORTIONAL = {"SGD", "ASGD"}  # their step is a multiple of the gradient
CONSTANT = 1e-3  # relative spread of a factor that is one number, up to rounding


@rule(
    kind="optimisation",
    needs=["kept_gradient", "optimizer", "train_loss", "update_ratio"],
    optional=["step_loss"],
    remedies=["loosen_clipping", "optimizer", "learning_rate"],
    explains=[
        "bad_initialization",
        "batch_too_large",
        "label_noise",
        "learning_rate_too_low",
        "no_signal",
        "over_regularised",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "vanishing_gradients",
    ],
)
def excessive_clipping(
    run: Evidence,
    *,
    cut: Annotated[float, Convention("to a tenth: a learning rate is looked for by decades")] = 0.1,
    often: Annotated[float, Cited("Deep Learning Tuning Playbook: more than 50 % of the updates is aggressive")] = 0.5,
    short: Annotated[float, Cited("Stanford CS231n: updates of about 1e-3 of the weights")] = 1e-3,
    left: Annotated[float, Convention("of the first loss: what is nearly done needs no longer steps")] = 0.5,
) -> Finding | None:
    kept = run.curve("kept_gradient").values
    kept = kept[np.isfinite(kept) & (kept > 0)]
    losses, start = run.curve("train_loss"), initial_loss(run)
    if not len(kept) or not _proportional(run) or not is_finite(losses) or not start > 0:
        return None
    share, typical = float((kept < cut).mean()), float(np.median(kept))
    updates = typical_updates(run)
    if share <= often or np.ptp(kept) < CONSTANT * typical or not len(updates):
        return None
    update, rest = float(np.median(updates)), end(losses.values) / start
    if update > short or rest < left:
        return None
    return Finding(
        message=f"Clipping cuts {share:.0%} of the steps, typically to {typical:.1%} of their gradient, so that a step "
        f"moves the weights by only {update:.1g} of their length and {rest:.0%} of the first loss is left.",
        numbers=(
            Number(text=f"steps that are cut to less than {cut:.0%}: {share:.0%}", value=share, threshold=often),
            Number(text=f"what is left of a gradient {typical:.3g}", value=typical, threshold=cut),
            Number(text=f"typical update {update:.1g}", value=update, threshold=short),
        ),
        confidence=0.93,
        first_step=f"Clip at about {1 / typical:.0f} times the norm, just above the usual gradient; or do not clip.",
        since=0,
    )


def _proportional(run: Evidence) -> bool:
    groups = run.fact("optimizer")
    kinds = {group.get("class") for group in groups if isinstance(group, dict)} if isinstance(groups, list) else set()
    return bool(kinds) and kinds <= PROPORTIONAL
