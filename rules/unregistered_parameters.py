"""Layers in a plain list or dict: the loss depends on them, and the model does not know them.

## What it does

Follows the graph of the first sampled steps down to the parameters at its leaves. A parameter that the model does not
list, no optimizer has and nobody moves, but that some module of the model holds in an attribute, is not registered.
Fires where such parameters look as an initialisation left them.

Parameters of another network, inputs that require gradients, and parameters of a loss are not held by the model. A
trained teacher that is hidden in a list on purpose looks trained, and is a note.

## Why it hurts

They are not in model.parameters(), so no optimizer trains them; not in the state_dict, so no checkpoint has them; and
model.to(device) leaves them behind.

## Example

    self.layers = [nn.Linear(32, 32) for _ in range(4)]      # nn.ModuleList([...]) registers them

## When it is wrong

A plain tensor with requires_grad=True is not looked at, since inputs are made in the same way. Random layers that are
hidden on purpose and take part in the graph are accused; they should be called under no_grad.

## References

- intro_dgm issue 6: networks in a plain list "are not added in the learned parameters and are left unoptimized".
  https://github.com/jmtomczak/intro_dgm/issues/6
- PyTorch, torch.nn.ModuleList: modules that it contains are properly registered.
  https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
"""

from __future__ import annotations

from advisor import Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["hidden_parameters", "hidden_fresh"],
    remedies=["optimize_parameters"],
    explains=["optimisation", "signal", "fit", "label_noise", "no_signal", "parameters_not_optimized"],
)
def unregistered_parameters(run: Evidence) -> Finding | None:
    hidden, fresh = run.table("hidden_parameters"), set(run.names("hidden_fresh"))
    if not hidden:
        return None
    count = sum(n for n in hidden.values() if isinstance(n, int))
    names = tuple(hidden)
    shown = ", ".join(names[:2]) + (", …" if len(names) > 2 else "")
    random = set(names) <= fresh
    how = "are used and not registered" if random else "are hidden from the model and look trained"
    return Finding(
        message=f"{count} parameters in {shown} {how}: no optimizer has them, and no checkpoint will.",
        numbers=(Number(text=f"{count} parameters that the model does not list", value=float(count)),),
        confidence=0.97 if random else 0.8,
        first_step=f"Hold {names[0].split('[')[0]} in an nn.ModuleList, nn.ModuleDict or nn.ParameterList."
        if random
        else "If that is meant, call them under torch.no_grad().",
        since=0,
        layers=names,
        severity="problem" if random else "note",
    )
