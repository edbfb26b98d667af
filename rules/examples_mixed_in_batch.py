"""What the model says of one sample depends on the other samples of its batch.

## What it does

Asks the model, in eval mode, about a few training samples; then replaces all of them but the first by other samples,
and then all but the last, and compares what it says of the one that stayed (the probe `batch_independence`). Fires
where that changes by more than rounding does.

## Why it hurts

The network learns from a mixture of samples and cannot tell whose label it is shown; a prediction changes with the
company that a sample has. No shape is wrong, so nothing raises.

## Example

    def forward(self, x):                      # x: (batch, time, features)
        x = x.reshape(time, batch, features)   # not a transpose: it cuts the samples up
        states, _ = self.rnn(x)

## When it is wrong

Models whose purpose is to compare the samples of a batch, such as attention over a memory of neighbours or a graph
whose nodes are the samples, mix them rightly; so does normalisation by the batch without running averages, of which
the rule is silent.

## References

- Karpathy, A Recipe for Training Neural Networks, 2019: "use backprop to chart dependencies" finds code that mixes
  information across the batch dimension. https://karpathy.github.io/2019/04/25/recipe/
- PyTorch, torch.Tensor.view: the data are read in order, unlike by transpose or permute.
  https://docs.pytorch.org/docs/stable/generated/torch.Tensor.view.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing


@rule(
    kind="wiring",
    needs=["probe.batch_independence"],
    remedies=["softmax_over_classes"],
    explains=[
        "learning_rate_too_low",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
    ],
)
def examples_mixed_in_batch(
    run: Evidence,
    *,
    change: Annotated[
        float, Measured("fixtures/healthy: at most 1e-5 of the outputs' spread, 0.1 and more in its faulty twin")
    ] = 1e-3,
    above_noise: Annotated[
        float, Convention("ten times what the same batch gives twice: a model that draws numbers of its own")
    ] = 10.0,
) -> Finding | None:
    probe = run.table("probe.batch_independence")
    first, last, noise = (probe.get(name) for name in ("first", "last", "noise"))
    if not isinstance(first, float) or not isinstance(last, float) or not isinstance(noise, float):
        raise Missing("probe.batch_independence")
    largest = max(first, last)
    if probe.get("statistics") is True or not largest > max(change, above_noise * noise):
        return None
    return Finding(
        message=f"Exchanging the other samples of a batch changes the output for its first sample by {first:.2g} and "
        f"for its last by {last:.2g} of the outputs' standard deviation: samples are mixed.",
        numbers=(
            Number(text=f"output of the first sample changes by {first:.2g}", value=first, threshold=change),
            Number(text=f"output of the last sample changes by {last:.2g}", value=last, threshold=change),
        ),
        confidence=0.97,
        first_step="Look for a view or reshape that should be a transpose or permute, for a softmax or a sum over "
        "dimension 0, and for an RNN that expects (time, batch, features).",
        confirmed_by=("batch_independence",),
    )
