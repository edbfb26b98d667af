"""Puts an activation between layers that follow each other with nothing but linear maps between them.

## What it does
Finds, in a forward pass on one batch, the Linear and Conv layers whose output enters another one unchanged (but for its
shape, and for batch normalisation, which is linear too), and grafts the activation by a hook after the first, or after
its normalisation. A joint narrower than both of its ends is a low-rank factorisation, made on purpose, and is left
alone. Without an example the order within `nn.Sequential` tells. It stays after the loop.

## When it helps
A network whose layers are one linear map together: it has the parameters of a network and can draw only straight lines.

## When it hurts
Where a linear model is meant, such as an autoencoder that is a principal component analysis.

## Cost
One activation a joint.

## References
Goodfellow, Bengio, Courville: Deep Learning, 2016, 6.1: why a network of linear layers remains a linear function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.fence import eager, untouched, unwrapped
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._forward import check_reachable, look_again
from advisor.remedies._places import FOREIGN, _forward, _moved

CHANGES = frozenset({"activation"})
LASTS = "model"
Kind = Literal["relu", "gelu", "tanh"]
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
CHANGE_NOTHING = (nn.Identity, nn.Flatten, nn.modules.dropout._DropoutNd)  # but shapes and, in training, some units


class Parameters(_Parameters):
    """kind: of activation."""

    kind: Kind = "relu"


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """ReLU first, where the rule fired or the record has linear joints."""
    fired = any(finding.rule == "missing_nonlinearity" for finding in diagnosis.findings)
    try:
        joints = bool(evidence.fact("linear_joints"))
    except Missing:
        joints = False
    kinds: tuple[Kind, ...] = ("relu", "gelu", "tanh")
    return [Parameters(kind=kind) for kind in kinds] if fired or joints else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where no layer is followed by another at once, or the model is compiled."""
    check_reachable(session, "insert_activation")
    root = unwrapped(session.model)
    seen = _seen(session, root)
    after = _joints(seen) if seen is not None else _by_definition(root)
    if not after:
        raise CannotApply("no Linear or Conv layer is followed by another at once", context="insert_activation")
    for module in after:
        module.register_forward_hook(AFTER[parameters.kind])
    look_again(session)
    names = [name for name, module in root.named_modules() if any(module is one for one in after)]
    session.note("insert_activation", {"after": [*names], "kind": parameters.kind})


def took_effect(record: Record, parameters: Parameters) -> bool:
    """Whether the model had joints for it."""
    note = record.facts.get("remedy.insert_activation")
    return isinstance(note, dict) and note.get("kind") == parameters.kind and bool(note.get("after"))


def relu_after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    """A hook, and a function of this module, so that models pickle."""
    return functional.relu(output)


def gelu_after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    """See `relu_after`."""
    return functional.gelu(output)


def tanh_after(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    """See `relu_after`."""
    return torch.tanh(output)


AFTER: Mapping[str, Callable[..., Tensor]] = {"relu": relu_after, "gelu": gelu_after, "tanh": tanh_after}


@dataclass(frozen=True, slots=True)
class _Passed:
    """A layer, what it read and what it gave."""

    module: nn.Module
    read: Tensor
    gave: Tensor


def _seen(session: Session, root: nn.Module) -> list[_Passed] | None:
    """The linear layers and batch norms that a forward pass in eval mode calls; None where none can be made."""
    example = session.example()
    if example is None:
        return None
    passed: list[_Passed] = []

    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
            passed.append(_Passed(module, args[0].clone(), output.clone()))  # what follows may work in place

    layers = [module for module in root.modules() if isinstance(module, (*LINEAR, _BatchNorm))]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    device = next((p.device for p in root.parameters()), torch.device("cpu"))
    try:
        with eager(), untouched(root):
            for module in root.modules():
                module.training = False
            _forward(root, _moved(example[0], device))
    except FOREIGN:
        return None
    finally:
        for handle in handles:
            handle.remove()
    return passed


def _joints(passed: list[_Passed]) -> list[nn.Module]:
    """After which modules an activation is missing; those that a pass calls twice are left out."""
    calls = [one.module for one in passed]
    found: list[nn.Module] = []
    source: nn.Module | None = None
    for one, following in pairwise(passed):
        source = one.module if isinstance(one.module, LINEAR) else source
        if not _unchanged(one.gave, following.read):
            source = None
        elif source is not None and _widens(source, following.module) and calls.count(one.module) == 1:
            found.append(one.module)
    return found


def _by_definition(root: nn.Module) -> list[nn.Module]:
    found: list[nn.Module] = []
    for sequence in root.modules():
        source: nn.Module | None = None
        last: nn.Module | None = None
        for module in sequence if isinstance(sequence, nn.Sequential) else ():
            if isinstance(module, LINEAR):
                if source is not None and last is not None and _widens(source, module):
                    found.append(last)
                source = last = module
            elif isinstance(module, _BatchNorm):
                last = module
            elif not isinstance(module, CHANGE_NOTHING):
                source = None
    return found


def _unchanged(gave: Tensor, read: Tensor) -> bool:
    return gave.numel() == read.numel() and torch.equal(gave.reshape(-1), read.reshape(-1))


def _widens(first: nn.Module, second: nn.Module) -> bool:
    """Whether two linear layers are no low-rank factorisation: as wide between as one of their ends."""
    if not isinstance(second, LINEAR):
        return False
    (between, into), out = _sizes(first), _sizes(second)[0]
    return between >= min(into, out)


def _sizes(module: nn.Module) -> tuple[int, int]:
    """(outputs, inputs) of a weight (outputs, inputs, …)."""
    weight: Any = module.weight
    return int(weight.shape[0]), int(weight.shape[1])
