"""Layers get a gradient in every step, and no optimizer has them: they stay as they were initialised.

## What it does

Compares the parameters of the model with those in the optimizers. A layer counts where it requires gradients, gets
them, is in none of the optimizers at any time, and nobody else moves it. Fires where an optimizer holds parameters
that the model does not have: then it was made before a layer was replaced or the model was copied. Fires as well where
the layers that were left out look as an initialisation left them.

Leaving out layers that look trained is a way to freeze them, and is silent.

## Why it hurts

What was left out is a random part of the function for ever, most often the new head or a part added later.

## Example

    optimizer = torch.optim.Adam(model.parameters())
    model.fc = nn.Linear(512, 10)               # the optimizer has the parameters of the old one

## When it is wrong

A random layer that is left out on purpose should have requires_grad=False. An optimizer that `watch` was not given
moves its parameters, which is seen, unless its steps are too small for float32.

## References

- nni issue 4521: "the parameters registered in the optimizer are outdated", after layers were replaced.
  https://github.com/microsoft/nni/issues/4521
- HVPNeT issue 5: parameters were collected and not added to the optimizer. https://github.com/zjunlp/HVPNeT/issues/5
"""

from __future__ import annotations

from advisor import Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["layers_not_optimized", "stale_parameters", "fresh_layers"],
    remedies=["optimize_parameters"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal"],
)
def parameters_not_optimized(run: Evidence) -> Finding | None:
    left, fresh = run.names("layers_not_optimized"), set(run.names("fresh_layers"))
    stale = int(run.number("stale_parameters"))
    if not left or not (stale or set(left) <= fresh):
        return None
    count = sum(layer.parameters for layer in run.info.layers if layer.name in left)
    whole = sum(layer.parameters for layer in run.info.layers)
    names = ", ".join(left[:2]) + (", …" if len(left) > 2 else "")
    numbers = [Number(text=f"{count} of {whole} parameters get gradients and are not optimized", value=float(count))]
    because = ""
    if stale:
        numbers.append(Number(text=f"{stale} tensors in the optimizer that the model has not", value=float(stale)))
        because = f", which holds {stale} tensors that the model does not have"
    return Finding(
        message=f"{len(left)} layer{'s' if len(left) > 1 else ''} ({names}) with {count} parameters "
        f"{'are' if len(left) > 1 else 'is'} not in the optimizer{because}.",
        numbers=tuple(numbers),
        confidence=0.97 if stale else 0.9,  # without stale ones it may have been meant, oddly
        first_step="Make the optimizer after the last change of the model, from model.parameters().",
        since=0,
        layers=left,
    )
