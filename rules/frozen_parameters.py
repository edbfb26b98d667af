"""A large part of the model is frozen although it has never learnt anything.

## What it does

Fires where the layers that never required a gradient hold a quarter of the parameters or more, all of them still look
as an initialisation leaves them, and the model is less than half of the way from guessing to a perfect fit of the
training data.

Freezing what was trained before is fine-tuning and is never reported: biases that moved, and weights with directions
that independent random numbers do not have, tell a trained layer. Random features that fit the data are fine as well.

## Why it hurts

The layers above get random features, each layer more mixed than the one before, and can only choose among them.

## Example

    backbone = torchvision.models.resnet18(weights=None)     # weights="DEFAULT" was meant
    backbone.requires_grad_(False)

## When it is wrong

A fixed random projection can be meant, and the bad fit come from something else. A layer that was pretrained so briefly
that its weights still look random would be accused.

## References

- movenet issue 9: a backbone that is frozen by default and not pretrained stays at its random initialisation.
  https://github.com/lee-man/movenet/issues/9
- Martin and Mahoney, Implicit Self-Regularization in Deep Neural Networks, JMLR 2021: the singular values of a weight
  before and after training. https://jmlr.org/papers/v22/20-410.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import skill


@rule(
    kind="wiring",
    needs=["frozen_layers", "fresh_layers", "clean_train_score", "chance_score"],
    remedies=["unfreeze"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
)
def frozen_parameters(
    run: Evidence,
    *,
    part: Annotated[float, Convention("of the parameters: a fixed embedding or projection is often meant")] = 0.25,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: random features may do")] = 0.5,
) -> Finding | None:
    frozen, fresh = run.names("frozen_layers"), run.names("fresh_layers")
    whole = sum(layer.parameters for layer in run.info.layers)
    held = sum(layer.parameters for layer in run.info.layers if layer.name in frozen)
    reached = skill(run)
    if not frozen or not set(frozen) <= set(fresh) or held < part * whole or reached > fit:
        return None
    share = held / whole
    return Finding(
        message=f"{share:.0%} of the parameters, from layer {frozen[0]} on, are frozen at what looks like a random "
        f"initialisation, and the training data are not fit ({reached:.2f}, where 0 is guessing and 1 perfect).",
        numbers=(
            Number(text=f"frozen and never trained {share:.0%}", value=share, threshold=part),
            Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=fit),
        ),
        confidence=0.9,
        first_step="Load pretrained weights before freezing, or set requires_grad to True for all parameters.",
        since=0,
        layers=frozen,
    )
