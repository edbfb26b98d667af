"""Layers follow each other with nothing but linear maps between them: together they are one linear layer.

## What it does

What each linear or convolutional layer gives is computed again from what entered it, in eval mode on one batch, and
compared with what enters the next one. Where these are the same numbers, nothing lies between. Fires where that holds
between all layers of the model, or between more than half of them and at least two, and the training data are not fit
within a tenth.

Whatever changes the numbers counts as a nonlinearity: functional activations, pooling, attention, gates, residuals.
Batch normalisation does not, for it is linear once it is trained. A joint narrower than both of its ends is a low-rank
factorisation, made on purpose. A model that is linear and fits its data is told so in a note; a model of a single
layer is a linear model by intention, and is left alone.

## Why it hurts

Two matrices in a row are one matrix. The model has the parameters of a network and can draw only straight lines.

## Example

    model = nn.Sequential(nn.Linear(64, 128), nn.Linear(128, 10))  # the same as nn.Linear(64, 10)

## When it is wrong

Deep linear networks are studied for their own sake, and an autoencoder without activations is a principal component
analysis; both are as linear as they were meant to be.

## References

- Goodfellow, Bengio and Courville, Deep Learning, section 6.1: why a network of linear layers remains a linear function
  of its input. https://www.deeplearningbook.org/contents/mlp.html
- Stanford CS231n, Neural Networks 1: without the nonlinearity two matrices could be collapsed to a single one.
  https://cs231n.github.io/neural-networks-1/
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing


@rule(
    kind="fit",
    needs=["linear_joints", "joints", "clean_train_score"],
    remedies=["insert_activation"],
    explains=[
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "oscillating_loss",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def missing_nonlinearity(
    run: Evidence,
    *,
    share: Annotated[float, Convention("more than half of the joints, and two in number: no accident")] = 0.6,
    error: Annotated[
        float, Measured("fixtures/missing_nonlinearity/faulty.py: half of the training data wrong; its fixed twin 0.00")
    ] = 0.1,
) -> Finding | None:
    found, joints = run.fact("linear_joints"), int(run.number("joints"))
    if not isinstance(found, list):
        raise Missing("linear_joints")
    pairs = [(str(pair[0]), str(pair[1])) for pair in found if isinstance(pair, list) and len(pair) == 2]
    whole = bool(pairs) and len(pairs) >= joints
    if not whole and (len(pairs) < 2 or len(pairs) < share * joints):
        return None
    wrong = 1.0 - run.curve("clean_train_score").last
    score = "R²" if run.info.task == "regression" else "accuracy"
    fits = not wrong > error
    if fits and not whole:
        return None
    shown = ", ".join(f"{a} → {b}" for a, b in pairs[:3]) + (", …" if len(pairs) > 3 else "")
    what = f"All {joints + 1} layers are one linear map" if whole else f"{len(pairs)} of {joints} joints are linear"
    return Finding(
        message=f"{what}: nothing lies between {shown}, and the training {score} is {1.0 - wrong:.3f}.",
        numbers=(
            Number(
                text=f"{len(pairs)} of {joints} joints without a nonlinearity",
                value=len(pairs) / joints,
                threshold=share,
            ),
            Number(text=f"training {score} {1.0 - wrong:.3f}", value=wrong, threshold=error),
        ),
        confidence=0.95 if whole and not fits else 0.6,
        first_step="Put an activation, such as nn.ReLU(), between the layers."
        if not fits
        else "Nothing, if a linear model was meant; one layer would do the same.",
        since=0,
        layers=tuple(a for a, _ in pairs),
        severity="note" if fits else "problem",
    )
