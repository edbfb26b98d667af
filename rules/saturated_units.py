"""Most units of a layer sit at the end of their range for nearly every sample, and the training data are not fit.

## What it does

Looks at what leaves each layer in eval mode over the same part of the training data, epoch after epoch. A unit of a
bounded activation (sigmoid, tanh) is saturated where 95 % of what it gives lies in the outer twentieth of the range.
Fires where more than half of a layer's units were saturated in every look since the middle of the run, while the model
is less than half of the way from guessing to a perfect fit.

The second half of the sentence matters: a gate or a code that has learned to be nearly 0 or 1 is doing its work.

## Why it hurts

At the ends of a sigmoid or tanh the slope is nearly zero, and so is every gradient that has to pass. The layers below
stand still, and the units do not come back.

## Example

    model = nn.Sequential(nn.Linear(784, 64), nn.Tanh(), nn.Linear(64, 10))  # on pixels from 0 to 255

## When it is wrong

The looks use a fixed part of the data. Activations that are not bounded by 0 or ±1 are not judged. With a bad fit of
other origin, units that are binary on purpose stand accused.

## References

- Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010: sigmoid
  units of the top hidden layer saturate, and come out of it slowly, which explains plateaus.
  https://proceedings.mlr.press/v9/glorot10a.html
- Rakitianskaia and Engelbrecht, Measuring Saturation in Neural Networks, IEEE SSCI 2015: outputs near the asymptotic
  ends of bounded activations. https://doi.org/10.1109/SSCI.2015.202
- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml, Activation.Saturation: more than half of the neurons.
  https://github.com/thedeepchecker/thedeepchecker
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Number, rule
from advisor.progress import skill


@rule(
    kind="signal",
    needs=["saturated_units", "clean_train_score", "chance_score"],
    remedies=["batch_norm", "activation", "standardise_inputs", "reinitialise", "layer_norm"],
    explains=[
        "dead_units",
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
def saturated_units(
    run: Evidence,
    *,
    share: Annotated[float, Cited("TheDeepChecker, more than half of the neurons of a layer")] = 0.5,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: what fits is only decided")] = 0.5,
) -> Finding | None:
    series = run.layers("saturated_units")
    epochs = run.curve("saturated_units").at
    late = series.values[len(series.values) // 2 :]
    stuck = np.all(late > share, axis=0, keepdims=True)[0]  # NaN, a layer that was not seen, is not above
    reached = skill(run)
    if not stuck.any() or reached > fit:
        return None
    last = np.where(stuck, series.values[-1], -1.0)
    worst = int(last.argmax())
    below = ~(series.values[:, worst] > share)
    since = int(epochs[np.flatnonzero(below)[-1] + 1]) if below.any() else int(epochs[0])
    return Finding(
        message=f"{last[worst]:.0%} of units after layer {series.names[worst]} are saturated since epoch {since}: at "
        "the end of their range for nearly every sample, where the slope is nearly zero.",
        numbers=(
            Number(text=f"saturated units {last[worst]:.0%}", value=float(last[worst]), threshold=share),
            Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=fit),
        ),
        confidence=0.92 if last[worst] > 0.9 else 0.7,  # conventions, as for dead units; above what they explain
        first_step="Look at how weights and biases begin and scale the inputs to the order of 1."
        if since == epochs[0]
        else "Lower the learning rate tenfold, or put batch normalisation before the activation.",
        since=since,
        layers=tuple(name for name, is_stuck in zip(series.names, stuck, strict=True) if is_stuck),
    )
