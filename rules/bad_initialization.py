"""The weights began where they cannot learn from: all units of a layer the same, or many times too large or too small.

## What it does

Reads the weights once before the first step and compares them with what an initialisation is for. Fires where

- alike: the units of a hidden layer were copies of one another (all zero, or all constant) at the start, and still
  are after training, and the training data are not fit. A layer whose weights began alike and then came apart is
  healthy: a zero last layer, or a residual branch that begins at zero;
- scale: the root mean square of the typical weight matrix, times the root of its inputs, was far from 1, the loss of
  the first step was more than twice that of guessing (or, where too small, never left it), and the training data are
  not fit. Too large does harm as well where they are fit and validation stays far behind.

Weights that were trained before, normalisation and embeddings are no concern: the first fit, the others are left out.

## Why it hurts

Equal units get equal gradients and stay equal: the layer is one unit wide. Weights ten times too large saturate what
follows, or drown a hundred steps in undoing them; weights a hundred times too small pass neither signal nor gradient.
From a large start a network can fit its data while its weights hardly change: the features stay random, and what was
learnt by heart does not carry over.

## Example

    for layer in model:
        nn.init.zeros_(layer.weight)

`nn.init.normal_(weight)` has a standard deviation of 1: for 784 inputs that is 28 times too much.

## When it is wrong

Where a large learning rate or raw inputs keep the data from being fit, an unusual scale that did no harm stands
accused with them. What a schedule or normalisation makes good in time is not accused at all. Where data are scarce,
validation may lie as far behind from a good start.

## References

- Stanford CS231n, Neural Networks 2, Weight initialization: "if every neuron in the network computes the same output,
  then they will also all compute the same gradients". https://cs231n.github.io/neural-networks-2/#init
- Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010: a
  variance of 2 over inputs plus outputs. https://proceedings.mlr.press/v9/glorot10a.html
- He et al., Delving Deep into Rectifiers, 2015: for ReLU a variance of 2 over inputs. https://arxiv.org/abs/1502.01852
- Chizat, Oyallon and Bach, On Lazy Training in Differentiable Programming, NeurIPS 2019: with a large scale the model
  behaves like its linearisation around the initialisation. https://arxiv.org/abs/1812.07956
- TheDeepChecker (Ben Braiek and Khomh, 2023): an initial loss that deviates from ln C by more than 100 %.
  https://github.com/thedeepchecker/thedeepchecker
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing
from advisor.progress import end, guessing_loss, skill


@rule(
    kind="signal",
    needs=["initial_scale", "units_spread", "clean_train_score", "chance_score"],
    optional=["step_loss", "loss", "classes", "val_score"],
    remedies=["reinitialise", "batch_norm", "layer_norm"],
    explains=[
        "data_scarcity",
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "oscillating_loss",
        "overfitting",
        "saturated_units",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def bad_initialization(
    run: Evidence,
    *,
    alike: Annotated[
        float, Measured("at least 0.5 over fixtures/healthy; 0 in fixtures/bad_initialization/faulty.py")
    ] = 1e-3,
    large: Annotated[
        float, Convention("N(0, 1) has 5 for 25 inputs and 8 for 64; three times the 1.7 of Glorot for a tanh")
    ] = 5.0,
    small: Annotated[float, Convention("a fiftieth of PyTorch's own 0.58, in each of the layers")] = 0.01,
    first: Annotated[float, Cited("TheDeepChecker: twice the loss of guessing, a deviation of 100 %")] = 2.0,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: it did no harm")] = 0.5,
    behind: Annotated[
        float, Convention("validation score below that of the training data: a tenth is more than most splits scatter")
    ] = 0.1,
) -> Finding | None:
    scales, spreads = run.layers("initial_scale"), run.layers("units_spread")
    reached = skill(run)
    if not reached <= fit:
        gap = _gap(run)
        harm = Number(text=f"validation score {gap:.2f} below that of the training data", value=gap, threshold=behind)
        return _scaled(run, harm, large, 0.0, first) if gap > behind else None
    known = np.isfinite(scales.values[0])
    hidden = [i for i in np.flatnonzero(known)[:-1] if scales.names[i] in spreads.names]
    same = [i for i in hidden if (spreads.values[:, spreads.names.index(scales.names[i])] < alike).all()]
    harm = Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=fit)
    if same:
        names = tuple(scales.names[i] for i in same)
        zeros = not scales.values[0, same].any()
        return Finding(
            message=f"The {'weights are all zero' if zeros else 'units are all the same'} at the start in "
            f"{len(names)} hidden layer{'s' if len(names) > 1 else ''} ({', '.join(names[:3])}), and the units are "
            f"still copies of one another after {run.epochs} epochs.",
            numbers=(
                Number(text="spread of the units of a layer 0.000 of its length", value=0.0, threshold=alike),
                harm,
            ),
            confidence=0.95,
            first_step="Draw the weights at random, as PyTorch's layers do by themselves, or with "
            "nn.init.kaiming_normal_; only biases may begin at zero.",
            since=0,
            layers=names,
        )
    return _scaled(run, harm, large, small, first)


def _gap(run: Evidence) -> float:
    """Training score less validation score at the end; -inf where one of them is not known."""
    if not run.has("val_score"):
        return -math.inf
    gap = run.curve("clean_train_score").last - end(run.curve("val_score").values)
    return gap if math.isfinite(gap) else -math.inf


def _scaled(run: Evidence, harm: Number, large: float, small: float, first: float) -> Finding | None:
    """Weights that are far too large or too small, and what the loss of the first step says of them."""
    scales = run.layers("initial_scale")
    values = scales.values[0]
    known = values[np.isfinite(values)]
    try:
        ratio = run.curve("step_loss").first / guessing_loss(run)
    except Missing:
        return None
    if not len(known) or not np.isfinite(ratio) or ratio == 0.0:
        return None
    too_large = bool(np.median(known) > large and ratio > first)
    too_small = bool(len(known) > 1 and known.max() < small and ratio < first)
    if not too_large and not too_small:
        return None
    extreme = float(known.max())
    name = scales.names[int(np.nanargmax(values))]
    return Finding(
        message=f"The weights begin too {'large' if too_large else 'small'}: {extreme:.2g} in layer {name}, where 1 "
        f"keeps the size of a signal, and the first loss is {ratio:.2g} times that of guessing.",
        numbers=(
            Number(text=f"rms(w) · √inputs {extreme:.2g}", value=extreme, threshold=large if too_large else small),
            harm,
        ),
        confidence=0.8,
        first_step="Draw the weights with nn.init.kaiming_normal_ or nn.init.xavier_normal_, which divide by the root "
        "of the number of inputs.",
        since=0,
        layers=tuple(n for n, v in zip(scales.names, values, strict=True) if (v > large if too_large else v < small)),
    )
