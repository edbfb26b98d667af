"""Layers run in the forward pass and are handed to the optimizer, but no gradient ever reaches them.

## What it does

On sampled steps it notes which parameters have a gradient when the optimizer steps. A layer that requires gradients,
is in an optimizer, runs in forward passes, and never had a gradient in any of them is cut off from the loss: by
`detach()`, `.data`, `.item()`, numpy, `no_grad`, or an operation without a derivative such as argmax. Fires where such
layers still look as an initialisation left them, or where no layer gets a gradient at all.

A step function such as `round` or `sign` lets a gradient through that is 0. Where one is in the graph, layers whose
gradient was exactly 0 in every sampled step are cut off as well.

Cut-off layers that look trained are a frozen backbone by another name: a note. So is a layer that never runs, an unused
head for instance. A layer that is used only now and then gets its gradient then, and is silent.

## Why it hurts

The layers below the cut stay as they were initialised, without an error or a warning.

## Example

    features = self.encoder(x)
    return self.head(features.detach())      # the encoder is in the optimizer and learns nothing

## When it is wrong

Layers whose turn to be trained comes later in the run look cut off until then. A random encoder that is cut off on
purpose should have requires_grad=False and not be in the optimizer.

## References

- SpeechBrain issue 1396: `self.modules.enc(feats.detach())` broke the graph.
  https://github.com/speechbrain/speechbrain/issues/1396
- PyTorch, Tensor.detach: the result "will never require gradient".
  https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["layers_without_gradient", "called_layers", "fresh_layers", "frozen_layers", "steps_looked_at"],
    optional=["flat_operations", "grad_norm"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
)
def parameters_without_gradient(
    run: Evidence,
    *,
    fewest: Annotated[int, Convention("sampled steps: a zero gradient in two may be chance, as of a dead batch")] = 3,
) -> Finding | None:
    cut, called = run.names("layers_without_gradient"), set(run.names("called_layers"))
    fresh, frozen = set(run.names("fresh_layers")), set(run.names("frozen_layers"))
    looks = int(run.number("steps_looked_at"))
    trainable = [layer.name for layer in run.info.layers if layer.name not in frozen]
    if not cut:
        return _behind_a_step_function(run, trainable, fresh, fewest)
    lost = sum(layer.parameters for layer in run.info.layers if layer.name in cut)
    number = Number(text=f"{lost} parameters without a gradient in {looks} sampled steps", value=float(lost))
    if set(cut) >= set(trainable):
        return Finding(
            message=f"The loss does not depend on the model: none of its {len(cut)} layers had a gradient in {looks} "
            "sampled steps.",
            numbers=(number,),
            confidence=0.97,
            first_step="Look for .item(), .data, detach() or a new tensor between the model's output and the loss.",
            since=0,
            layers=cut,
        )
    blocked = tuple(name for name in cut if name in called)
    names = ", ".join(blocked[:2]) + (", …" if len(blocked) > 2 else "")
    if blocked and set(blocked) <= fresh:
        return Finding(
            message=f"No gradient reaches {len(blocked)} of {len(trainable)} layers ({names}), though they run: none "
            f"in {looks} sampled steps.",
            numbers=(number,),
            confidence=0.96,
            first_step=f"Look for detach(), no_grad or a non-differentiable operation after {blocked[-1]}.",
            since=0,
            layers=blocked,
        )
    return Finding(
        message=f"{len(cut)} of {len(trainable)} layers of the optimizer had no gradient in {looks} sampled steps: "
        f"{'they look trained, as if frozen on purpose' if blocked else 'they were not used'}.",
        numbers=(number,),
        confidence=0.9,
        first_step="If that is meant, leave them out of the optimizer and set requires_grad to False.",
        since=0,
        layers=cut,
        severity="note",
    )


def _behind_a_step_function(run: Evidence, trainable: list[str], fresh: set[str], fewest: int) -> Finding | None:
    """Layers that get zeros for a gradient, where an operation is there that makes zeros of all gradients."""
    flat = run.names("flat_operations") if run.has("flat_operations") else ()
    if not run.has("grad_norm") or not flat:
        return None
    gradients = run.layers("grad_norm")
    still = np.all(gradients.values == 0, axis=0)
    cut = tuple(name for name, zero in zip(gradients.names, still, strict=True) if zero and name in fresh)
    looks = len(gradients.values)
    if not cut or looks < fewest or still.all():
        return None
    return Finding(
        message=f"No gradient passes the {flat[0]} in the graph: that of {len(cut)} of {len(trainable)} layers "
        f"({', '.join(cut[:2])}{', …' if len(cut) > 2 else ''}) was exactly 0 in {looks} sampled steps.",
        numbers=(Number(text=f"{len(cut)} layers with a gradient of 0", value=float(len(cut)), threshold=0.0),),
        confidence=0.9,
        first_step=f"Pass the gradient around it, as x + ({flat[0]}(x) - x).detach(), or leave the {flat[0]} out.",
        since=0,
        layers=cut,
    )
