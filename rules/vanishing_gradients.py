"""The gradient shrinks on its way to the first layers, which therefore stand still.

## What it does

Compares layers with each other, never with a constant: fires where the gradient of the first layer is, at the typical
step, less than a thousandth of the last one's, it falls off layer by layer, the first layer moves by less than 1e-4
of its length, and the training data are far from fit.

An absolute bound on the gradient would miss a sigmoid network and accuse a finished one: near the end of a training
all gradients are small. Adam divides by the size of the gradient; its first layers move all the same, and the rule is
silent.

## Why it hurts

The first layers keep their random weights. What they throw away, the last layers cannot learn from.

## Example

    layers = [nn.Linear(20, 32), nn.Sigmoid()]
    for _ in range(6):
        layers += [nn.Linear(32, 32), nn.Sigmoid()]  # each multiplies the gradient by at most 1/4

## When it is wrong

A first layer with very small inputs has a small gradient with no help from the depth; unscaled inputs are the cause
then. Frozen layers have no gradient at all and are left out.

## References

- Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010:
  gradients by layer, and why the sigmoid does not suit a random initialisation.
  https://proceedings.mlr.press/v9/glorot10a.html
- AutoTrainer (Zhang et al., ICSE 2021), monitor.py, gradient_issue: norm of the first layer's gradient over the last
  one's below 1e-3, where it is also below 1e-4 itself. https://github.com/shiningrain/AUTOTRAINER
- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml: updates below 10^-4 of the weights.
  https://github.com/thedeepchecker/thedeepchecker
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Number, rule
from advisor.progress import Values, evenly, skill


@rule(
    kind="signal",
    needs=["grad_norm", "update_ratio", "clean_train_score", "chance_score"],
    remedies=["batch_norm", "activation", "optimizer", "reinitialise", "layer_norm"],
    explains=["learning_rate_too_low", "slow_convergence", "too_few_epochs", "underfitting"],
)
def vanishing_gradients(
    run: Evidence,
    *,
    ratio: Annotated[float, Cited("AutoTrainer, monitor.py: threshold_low 1e-3, first over last layer")] = 1e-3,
    still: Annotated[float, Cited("TheDeepChecker, settings.yaml: low_updates_min_thresh -4 (log10)")] = 1e-4,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: no harm was done yet")] = 0.5,
    fewest: Annotated[int, Convention("a trend needs three points")] = 3,
) -> Finding | None:
    names, gradients, updates = _by_depth(run)
    if len(names) < fewest or skill(run) > fit:
        return None
    share = float(gradients[0] / gradients[-1]) if gradients[-1] > 0 else 1.0
    grows = float(np.mean(gradients[1:] > gradients[:-1]))
    if share > ratio or updates[0] > still or grows <= 1 / 2:
        return None
    standing = tuple(name for name, update in zip(names, updates, strict=True) if update < still)
    return Finding(
        message=f"The gradient vanishes towards the input: that of {names[0]} is {share:.1g} of that of {names[-1]}, "
        f"and {names[0]} moves by only {updates[0]:.1g} of its length in a step.",
        numbers=(
            Number(text=f"gradient of the first over the last layer {share:.1g}", value=share, threshold=ratio),
            Number(text=f"update of the first layer {updates[0]:.1g}", value=float(updates[0]), threshold=still),
        ),
        confidence=0.9,
        first_step="Put batch normalisation between the layers, or ReLU in the place of sigmoid or tanh.",
        since=0,
        layers=standing,
    )


def _by_depth(run: Evidence) -> tuple[list[str], Values, Values]:
    """Names, median gradient and median update of the layers that are trained, normalisation left out."""
    gradients, updates = run.layers("grad_norm"), run.layers("update_ratio")
    typical = np.median(np.nan_to_num(evenly(gradients)), axis=0)
    moved = np.median(np.nan_to_num(evenly(updates)), axis=0)
    largest = np.nan_to_num(gradients.values).max(axis=0)
    norms = {layer.name for layer in run.info.layers if "Norm" in layer.kind}
    known = set(updates.names) - norms
    kept = [i for i, name in enumerate(gradients.names) if largest[i] > 0 and name in known]
    order = [updates.names.index(gradients.names[i]) for i in kept]
    return [gradients.names[i] for i in kept], typical[kept], moved[order]
