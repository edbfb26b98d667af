"""Most units of a layer give zero for every sample, and the training data are not fit.

## What it does

Looks at what leaves each layer in eval mode over the same part of the training data, epoch after epoch. Fires where
more than half of a layer's units gave nothing at all in every look since the middle of the run, while the model is
less than half of the way from guessing to a perfect fit of those same data. A loss without a score, such as a ranking
or a contrastive one, may have a floor far above zero: there it has to have fallen by less than a tenth.

The probe `zeroed_inputs` confirms it where nothing comes through at all: the model answers the same to zeros.

The second half of the sentence matters: sparse activations are what ReLU is for, and a wide layer that fits its data
with a quarter of its units is healthy.

## Why it hurts

A unit that is zero everywhere has a gradient that is zero everywhere. It does not come back, and when a whole layer
is dead, everything below it has stopped learning.

## Example

    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)  # the first steps push the biases far below zero

## When it is wrong

The looks use a fixed part of the data. A unit that answers only a rare input, absent there, is called dead; with a
bad fit of other origin the two together may fire. Weights that began at zero show the same picture: there the cause
is the initialisation.

## References

- Stanford CS231n, Neural Networks 1: "as much as 40% of your network can be "dead" (i.e. neurons that never activate
  across the entire training dataset) if the learning rate is set too high".
  https://cs231n.github.io/neural-networks-1/
- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml, Activation.Dead: more than half of the neurons below
  1e-5. https://github.com/thedeepchecker/thedeepchecker
- Amazon SageMaker Debugger, rule DeadRelu: threshold_layer 50 %.
  https://github.com/awsdocs/amazon-sagemaker-developer-guide/blob/master/doc_source/debugger-built-in-rules.md
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Cited, Convention, Evidence, Finding, Number, rule
from advisor.progress import learnt


@rule(
    kind="signal",
    needs=["dead_units"],
    optional=["clean_train_score", "chance_score", "step_loss", "train_loss", "probe.zeroed_inputs"],
    remedies=[
        "learning_rate",
        "activation",
        "batch_norm",
        "learning_rate_schedule",
        "standardise_inputs",
        "reinitialise",
        "layer_norm",
    ],
    explains=["learning_rate_too_low", "slow_convergence", "too_few_epochs", "underfitting", "vanishing_gradients"],
)
def dead_units(
    run: Evidence,
    *,
    share: Annotated[float, Cited("TheDeepChecker, neurons_ratio_max_thresh 0.5; SageMaker DeadRelu, 50 %")] = 0.5,
    fit: Annotated[float, Convention("half of the way from guessing to perfect: what fits is only sparse")] = 0.5,
    fallen: Annotated[
        float, Convention("of a loss without a score: one that fell by less than a tenth has not begun to learn")
    ] = 0.1,
) -> Finding | None:
    series = run.layers("dead_units")
    epochs = run.curve("dead_units").at
    late = series.values[len(series.values) // 2 :]
    dead = np.all(late > share, axis=0, keepdims=True)[0]  # NaN, a layer that was not seen, is not above
    reached, limit, said = learnt(run), fallen, "training loss fell by {:.0%}"
    if run.has("clean_train_score"):
        limit, said = fit, "fit of the training data {:.2f} (0 is guessing)"
    if not dead.any() or not reached <= limit:
        return None
    last = np.where(dead, series.values[-1], -1.0)
    worst = int(last.argmax())
    names = tuple(name for name, is_dead in zip(series.names, dead, strict=True) if is_dead)
    below = ~(series.values[:, worst] > share)
    since = int(epochs[np.flatnonzero(below)[-1] + 1]) if below.any() else int(epochs[0])
    return Finding(
        message=f"{last[worst]:.0%} of units after layer {series.names[worst]} are dead since epoch {since}: zero for "
        "every sample, so that no gradient passes.",
        numbers=(
            Number(text=f"dead units {last[worst]:.0%}", value=float(last[worst]), threshold=share),
            Number(text=said.format(reached), value=reached, threshold=limit),
        ),
        confidence=0.9 if last[worst] > 0.9 else 0.7,  # conventions: nine in ten leave no other way for the signal
        first_step="Look at how weights and biases begin, then lower the learning rate tenfold."
        if since == epochs[0]
        else "Lower the learning rate tenfold; if the inputs are not of the order of 1, scale them.",
        since=since,
        layers=names,
        confirmed_by=("zeroed_inputs",) if _ignores_its_inputs(run) else (),
    )


def _ignores_its_inputs(run: Evidence) -> bool:
    """Whether no output moved when zeros took the place of the inputs."""
    return run.has("probe.zeroed_inputs") and run.table("probe.zeroed_inputs").get("ignored") is True
