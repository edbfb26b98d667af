"""Parameters that no optimizer holds -> the param_group that a script would have put them into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adagrad, Optimizer

from advisor.errors import CannotApply
from advisor.remedies import Session

FINGERPRINT = 256  # elements that show whether a parameter moves


def optimized(session: Session) -> set[int]:
    """The ids of all parameters that an optimizer holds."""
    return {id(p) for optimizer in session.optimizers for group in optimizer.param_groups for p in group["params"]}


def join(session: Session, named: Mapping[str, nn.Parameter]) -> None:
    """Add each, in place, to the group of a parameter that the model has lost, else to the main group.

    The main group is the largest of the first optimizer that trains the model. Of lost parameters the one of the same
    name counts, where the optimizer knows names, else one with as many dimensions: weights and biases may be apart.
    """
    own = {id(p) for p in session.model.parameters()} - {id(p) for p in named.values()}
    training = [o for o in session.optimizers if any(id(p) in own for p in _held(o))] or session.optimizers[:1]
    lost = [
        (optimizer, group, p, (group.get("param_names") or [None] * len(group["params"]))[index])
        for optimizer in training
        for group in optimizer.param_groups
        for index, p in enumerate(group["params"])
        if id(p) not in own
    ]
    main = max(training[0].param_groups, key=lambda group: sum(p.numel() for p in group["params"] if id(p) in own))
    chosen: list[tuple[str, nn.Parameter, Optimizer, dict[str, Any]]] = []
    for name, new in named.items():
        alike = max(lost, key=lambda one: (one[3] == name, one[2].dim() == new.dim()), default=None)
        chosen.append((name, new, *(alike[:2] if alike is not None else (training[0], main))))
    for name, new, optimizer, group in chosen:
        add(optimizer, group, name, new)


def add(optimizer: Optimizer, group: dict[str, Any], name: str, new: nn.Parameter) -> None:
    """Put a parameter into one of an optimizer's groups, in place."""
    group["params"].append(new)
    if "param_names" in group:
        group["param_names"].append(name)
    if isinstance(optimizer, Adagrad):  # the one of torch's optimizers that makes its state before the first step
        options = {key: group[key] for key in optimizer.defaults}
        optimizer.state[new] = Adagrad([new], **options).state[new]


def check_alone(remedy: str, why: str = "DistributedDataParallel would not share these gradients") -> None:
    """Raises: CannotApply in a distributed run, whose wrapper was made before and does not share what is new."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        raise CannotApply(why, context=remedy, hint="write it in the script")


def movement(parameters: Sequence[nn.Parameter]) -> Callable[[], int]:
    """How many of them have changed since now."""
    began = [_part(p).clone() for p in parameters]

    def moved() -> int:
        return sum(not torch.equal(_part(p), before) for p, before in zip(parameters, began, strict=True))

    return moved


def _held(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _part(parameter: Tensor) -> Tensor:
    return parameter.detach().reshape(-1)[:FINGERPRINT]
