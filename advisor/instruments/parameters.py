"""Which layers are trained: frozen, known to an optimizer, reached by a gradient; and which look as they were made.

Facts, at the end of each epoch, each a list of layer names but for the last two:

    fresh_layers             their weights look as an initialisation left them, before the first step
    frozen_layers            no parameter of theirs ever required a gradient
    layers_without_gradient  an optimizer has them, and at none of the sampled steps did they have a gradient
    called_layers            of these, the ones that ran in a forward pass
    layers_not_optimized     they get gradients, no watched optimizer has them, and nothing else moves them
    stale_parameters         tensors that an optimizer has and the model has not, and that never had a gradient
    steps_looked_at          sampled steps that this rests on

A layer counts by most of its elements. A parameter is given a few steps from when it could first be trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from advisor.hooks import Hook
from advisor.instruments import Live, LiveLayer, LossCall
from advisor.instruments._initial import looks_initial

LOOKS = 3  # sampled steps without a gradient; a layer that is used now and then shows one at the end of an epoch, too
FINGERPRINT = 256  # elements that show whether somebody moves a parameter


class Parameters:
    """Follows the parameters that have had no gradient yet: after a step or two of a usual run, none."""

    def __init__(self) -> None:
        self._looks = 0
        self._waiting: dict[int, tuple[Tensor, int]] = {}  # no gradient yet: the parameter, steps it could have had one
        self._optimized: set[int] = set()  # at some time
        self._outside: dict[int, Tensor] = {}  # in no optimizer when the run began: their first elements then
        self._trained: set[str] = set()  # layers that could be trained at some time
        self._called: set[str] = set()
        self._handles: list[Any] = []

    def start(self, live: Live) -> None:
        live.fact("fresh_layers", [x.name for x in live.layers if looks_initial(x.module, x.parameters)])
        self._see_optimizers(live)
        for layer in live.layers:
            for parameter in layer.parameters:
                self._waiting[id(parameter)] = (parameter, 0)
                if id(parameter) not in self._optimized and not nn.parameter.is_lazy(parameter):
                    self._outside[id(parameter)] = _part(parameter).clone()

    def after_step(self, _: Live, __: Optimizer) -> None:
        self._see_gradients()
        for key, (parameter, looks) in self._waiting.items():
            if parameter.requires_grad:
                self._waiting[key] = (parameter, looks + 1)

    def step_end(self, live: Live) -> None:
        self._looks += 1
        if self._looks == 2 and self._waiting:  # the first two: what is missing from both may be cut off
            self._listen([x for x in live.layers if any(id(p) in self._waiting for p in x.parameters)])

    def clean(self, live: Live, _: Sequence[LossCall], inputs: Sequence[Sequence[tuple[int, Tensor]]]) -> None:
        self._called |= {live.layers[index].name for batch in inputs for index, _ in batch}

    def epoch_end(self, live: Live) -> None:
        self._deafen()
        self._see_gradients()  # of the last step, where they are not cleared yet
        self._see_optimizers(live)
        cut = [x.name for x in live.layers if self._mostly(x, self._is_cut_off)]
        live.fact("frozen_layers", [x.name for x in live.layers if x.name not in self._trained])
        live.fact("layers_without_gradient", list(cut))
        live.fact("called_layers", [name for name in cut if name in self._called])
        live.fact("layers_not_optimized", list(self._not_optimized(live)))
        own = {id(p) for layer in live.layers for p in layer.parameters}
        strange = [looks for key, (_, looks) in self._waiting.items() if key not in own]
        live.fact("stale_parameters", sum(looks >= LOOKS for looks in strange))
        live.fact("steps_looked_at", self._looks)

    def finish(self, _: Live) -> None:
        self._deafen()

    def _see_gradients(self) -> None:
        for key in [key for key, (parameter, _) in self._waiting.items() if parameter.grad is not None]:
            del self._waiting[key]

    def _see_optimizers(self, live: Live) -> None:
        """Parameters may join an optimizer, or be unfrozen, while the run goes on."""
        for parameter in (p for o in live.optimizers for group in o.param_groups for p in group["params"]):
            if id(parameter) not in self._optimized:
                self._optimized.add(id(parameter))
                self._waiting.setdefault(id(parameter), (parameter, 0))
        self._trained |= {x.name for x in live.layers if any(p.requires_grad for p in x.parameters)}

    def _is_cut_off(self, parameter: Tensor) -> bool:
        key = id(parameter)
        return parameter.requires_grad and key in self._optimized and self._waiting.get(key, (None, 0))[1] >= LOOKS

    def _not_optimized(self, live: Live) -> list[str]:
        """One copy from the device, and only where a layer is suspected."""

        def left_out(parameter: Tensor) -> bool:
            key = id(parameter)
            return parameter.requires_grad and key not in self._optimized and key not in self._waiting

        suspects = [x for x in live.layers if self._mostly(x, left_out)]
        outside = [(x.name, p) for x in suspects for p in x.parameters if id(p) in self._outside]
        if not outside:
            return []
        moved = torch.stack([(_part(p) != self._outside[id(p)]).any() for _, p in outside]).tolist()
        by_others = {name for (name, _), is_moved in zip(outside, moved, strict=True) if is_moved}
        return [x.name for x in suspects if x.name not in by_others]

    @staticmethod
    def _mostly(layer: LiveLayer, holds: Any) -> bool:
        trained = sum(p.numel() for p in layer.parameters if p.requires_grad)
        return trained > 0 and 2 * sum(p.numel() for p in layer.parameters if holds(p)) > trained

    def _listen(self, layers: Sequence[LiveLayer]) -> None:
        """Hear whether these run in the rest of the first epoch; a usual run has none."""
        for layer in layers:
            hook = Hook(lambda *_, name=layer.name: self._called.add(name))
            self._handles.append(layer.module.register_forward_pre_hook(hook))

    def _deafen(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []


def _part(parameter: Tensor) -> Tensor:
    """(at most FINGERPRINT,) of its first elements."""
    return parameter.detach().reshape(-1)[:FINGERPRINT]


instrument = Parameters
