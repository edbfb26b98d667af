"""Hidden layers of a model -> the same with a normalisation grafted between a layer and its activation.

A graft is a child module of the layer and a hook on it: no key of the `state_dict` changes, new ones are added.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.remedies import Session
from advisor.remedies._joining import add, check_alone
from advisor.remedies._places import Place, places

Make = Callable[[Place, int], nn.Module | None]  # a place and its number of units -> its norm, None for none


def normalises(evidence: Evidence) -> bool:
    """Whether the model is known to normalise."""
    try:
        return evidence.fact("normalisation") is True
    except Missing:
        return False


def check(session: Session, remedy: str) -> None:
    """Raises: CannotApply where the model normalises already, or new weights would not be shared by all ranks."""
    norms = [name for name, part in session.model.named_modules() if "norm" in type(part).__name__.lower()]
    if norms:
        raise CannotApply(f"the model already normalises ({norms[0]})", context=remedy)
    check_alone(remedy)


def graft(session: Session, remedy: str, child: str, make: Make, hook: Callable[..., Any]) -> list[Place]:
    """Add a norm, as the child module `child`, to hidden layers that are trained and called once; those places.

    The norm's weights join the param_group that holds the layer's own.  Raises: CannotApply where no layer fits.
    """
    grafted = [
        place
        for place in places(session)
        if not place.last and place.calls <= 1 and _add(place, session, child, make, hook)
    ]
    if not grafted:
        raise CannotApply("no hidden Linear or Conv layer that is trained and called once", context=remedy)
    return grafted


def over_units(place: Place) -> bool:
    """Whether units are the second axis of what a layer gives: (N, C) or (N, C, …), and no Linear on (N, T, F)."""
    return place.dims is None or place.dims == place.spatial + 2


def _add(place: Place, session: Session, child: str, make: Make, hook: Callable[..., Any]) -> bool:
    layer: Any = place.layer
    held = _held(layer.weight, session)
    norm = make(place, layer.out_channels if place.spatial else layer.out_features) if held is not None else None
    if held is None or norm is None:
        return False
    norm.to(layer.weight.device, layer.weight.dtype).train(layer.training)
    layer.add_module(child, norm)
    layer.register_forward_hook(hook)
    for name, parameter in norm.named_parameters():
        add(*held, f"{place.name}.{child}.{name}", parameter)
    return True


def _held(weight: Tensor, session: Session) -> tuple[Optimizer, dict[str, Any]] | None:
    """The optimizer and the param_group that train a weight."""
    if not weight.requires_grad:
        return None
    groups = ((optimizer, group) for optimizer in session.optimizers for group in optimizer.param_groups)
    return next((held for held in groups if any(weight is p for p in held[1]["params"])), None)
