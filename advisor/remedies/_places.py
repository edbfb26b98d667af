"""A model and one batch -> its Linear and Conv layers in the order in which a forward pass calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from advisor.errors import CannotApply
from advisor.fence import eager, untouched, unwrapped
from advisor.remedies import Session

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
LAYERS = (nn.Linear, *CONVOLUTIONS)
CLOSED = (nn.MultiheadAttention, nn.RNNBase)  # they read their parameters themselves: a hook inside never runs
# what a forward raises that was not written for a plain batch of inputs; the order of definition serves then
FOREIGN = (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError)


@dataclass(slots=True)
class Place:
    """A layer and where it stands.

    first: it reads what the model was given;  last: the model returns what it gives
    calls: in one forward pass;  seen: from a forward pass; otherwise all of this is guessed from the definition
    dims:  of what it gives; None where not seen
    """

    name: str
    layer: nn.Module
    first: bool = False
    last: bool = False
    calls: int = 0
    dims: int | None = None
    seen: bool = False

    @property
    def spatial(self) -> int:
        """Number of spatial dimensions: 0 for a Linear, 2 for a Conv2d."""
        weight = self.layer.weight
        assert isinstance(weight, Tensor)  # mypy: every layer of LAYERS has one
        return 0 if isinstance(self.layer, nn.Linear) else weight.dim() - 2


def places(session: Session) -> list[Place]:
    """Layers that a forward pass calls, in its order; in the order of definition where no pass could be made.

    Raises: CannotApply where the model has no such layer, or layers whose shape is not known yet.
    """
    root = unwrapped(session.model)
    if any(is_lazy(parameter) for parameter in root.parameters()):
        raise CannotApply(
            "the model has lazy layers without a shape", context="model", hint="call the model once before the loop"
        )
    closed = {id(part) for module in root.modules() if isinstance(module, CLOSED) for part in module.modules()}
    found = [
        Place(name, module)
        for name, module in root.named_modules()
        if isinstance(module, LAYERS) and id(module) not in closed
    ]
    seen = _called(session, root, found)
    if seen and not closed:
        seen[0].first = True  # also where a cast or a normalisation comes before
    if seen is None:
        for place in found[:1]:
            place.first = True
        for place in found[-1:]:
            place.last = True
        seen = found
    if not seen:
        raise CannotApply("the model has no Linear or Conv layer", context="model")
    return seen


def _called(session: Session, root: nn.Module, found: list[Place]) -> list[Place] | None:
    """One forward pass in eval mode that leaves nothing behind; None where that is not possible."""
    example = session.example()
    if example is None:
        return None
    device = next((p.device for p in root.parameters()), torch.device("cpu"))
    inputs = _moved(example[0], device)
    given = {_memory(tensor) for tensor in _tensors(inputs)}
    order: list[tuple[Place, Tensor]] = []

    def hook(place: Place) -> Any:
        def seen(_: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            place.seen, place.calls, place.dims = True, place.calls + 1, output.dim()
            place.first = place.first or any(_memory(tensor) in given for tensor in _tensors(args))
            order.append((place, output))

        return seen

    handles = [place.layer.register_forward_hook(hook(place)) for place in found]
    try:
        with eager(), untouched(root):
            for module in root.modules():
                module.training = False
            # forward itself: whoever hooked the model need not hear of this pass
            returned = {_memory(tensor) for tensor in _tensors(_forward(root, inputs))}
    except FOREIGN:
        for place in found:
            place.first, place.calls, place.dims, place.seen = False, 0, None, False
        return None
    finally:
        for handle in handles:
            handle.remove()
    for place, output in order:
        place.last = place.last or _memory(output) in returned
    if order:
        order[-1][0].last = True  # also where a softmax or a sum follows
    return list({id(place): place for place, _ in order}.values())


def _forward(root: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return root.forward(**inputs)
    return root.forward(*inputs) if isinstance(inputs, tuple | list) else root.forward(inputs)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    return [_moved(item, device) for item in value] if isinstance(value, tuple | list) else value


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _memory(tensor: Tensor) -> int:
    """The same for a tensor and its views."""
    return tensor.untyped_storage().data_ptr()
