"""Makes every hidden layer wider or narrower and begins anew: more capacity for what underfits, less for what overfits.

## What it does
Multiplies the number of outputs of every Linear and Conv layer but the last by `factor`. In one forward pass over a
training batch each layer, norm and PReLU takes as many inputs as arrive; what comes out must have the shapes that it
had before, otherwise nothing is changed. Parameters stay the same objects and are given new data, so that the optimizer
trains them as before. Layers whose shape changed are initialised by their own `reset_parameters`, with random numbers
that are not the user's; an initialisation of the user's own is lost for them. Saved weights of the old widths no longer
fit.

## When it helps
Underfitting with a network that is too narrow (factor 2), overfitting on few samples (factor 0.5).

## When it hurts
In a network that was trained before: refused where a parameter is frozen, since what it has learned would be lost.
Attention, recurrent and embedding layers, shared weights and layers that are called twice are refused too.

## Cost
About `factor`² times the parameters and the computation between hidden layers.

## References
Zagoruyko, Komodakis: Wide Residual Networks. BMVC 2016, arXiv 1605.07146.
Goodfellow, Bengio, Courville: Deep Learning (2016), 11.4.1: number of hidden units raises capacity, at a cost.
Peduzzi, Concato, Kemper, Holford, Feinstein: A simulation study of the number of events per variable in logistic
regression analysis. Journal of Clinical Epidemiology 49 (1996) 1373-1379.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from torch import nn

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.fence import eager, untouched, unwrapped
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._joining import check_alone
from advisor.remedies._places import FOREIGN, LAYERS, Place, _forward, _moved, _tensors, places
from advisor.remedies._random import seed_of
from advisor.remedies._resizing import ADAPTABLE, arriving, resize

CHANGES = frozenset({"widths"})
LASTS = "model"


WIDEST = 16.0  # a convention: from 4 to 64 units
# Parameters of a layer by which its past cannot be told: of 3,000 fresh Linear(3, 1) one in 7 looks trained, of
# Linear(4, 3) one in 100. What so few numbers have learned is learned again at once.
FEW = 16
SAMPLES = 10.0  # a parameter, and more: the old rule of ten for regressions (Peduzzi et al. 1996), by which it is small


class Parameters(_Parameters):
    """factor: of the number of outputs of each hidden layer."""

    factor: float = Field(default=2.0, gt=0.0, le=WIDEST)  # a convention: the smallest step that shows what width does


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Wider against underfitting, narrower against overfitting, both where nothing is known; of fresh networks only.

    What was made wider already and underfits still is made wider yet. A network with far fewer parameters than samples
    is made so much wider that it shows.
    """
    layers = evidence.info.layers
    known = {kind.__name__ for kind in (*LAYERS, *ADAPTABLE)}
    fresh = evidence.names("fresh_layers") if evidence.has("fresh_layers") else ()
    trained = [layer for layer in layers if layer.name not in fresh]
    if any(layer.kind not in known for layer in layers) or any(layer.parameters > FEW for layer in trained):
        return []
    if len(trained) == len(layers):  # none at all is known to be fresh
        return []
    fired = {finding.rule for finding in diagnosis.findings}
    factors = (
        tuple(factor * _used(evidence) for factor in ((4.0, 16.0) if _small(evidence) else (2.0, 4.0)))
        if "underfitting" in fired
        else (0.5,) if fired & {"overfitting", "data_scarcity"}
        else (2.0, 0.5)
    )  # fmt: skip
    return [Parameters(factor=factor) for factor in factors if factor <= WIDEST]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the model is not made of layers whose widths can be changed."""
    example = session.example()
    if example is None:
        raise CannotApply("no training batch to try the new widths on", context="width", hint="pass train=")
    root = unwrapped(session.model)
    _check(session, root)
    outputs = {place.layer: _outputs(place, parameters.factor) for place in places(session)}
    shapes = {module: _shapes(module) for module in root.modules()}
    before = {parameter: parameter.data for parameter in root.parameters()}
    try:
        sizes = _arrivals(root, _moved(example[0], next(root.parameters()).device), outputs)
    except BaseException:
        for parameter, data in before.items():
            parameter.data = data
        raise
    for module, size in sizes.items():
        resize(module, size, outputs.get(module))
    changed = {module: name for name, module in root.named_modules() if _shapes(module) != shapes[module]}
    if not changed:
        raise CannotApply("no hidden layer changes its width", context="width", hint="take another factor")
    with untouched():
        torch.manual_seed(seed_of("width"))
        for module in changed:
            module.reset_parameters()
    session.note("width", {"factor": parameters.factor, "changed": list(changed.values())})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any factor leaves the same fact
    """Whether layers have other widths."""
    note = record.facts.get("remedy.width")
    return isinstance(note, dict) and bool(note.get("changed"))


def _used(evidence: Evidence) -> float:
    """By how much this run's layers are wider already."""
    try:
        note = evidence.fact("remedy.width")
    except Missing:
        return 1.0
    factor = note.get("factor") if isinstance(note, dict) else None
    return float(factor) if isinstance(factor, int | float) and factor > 1 else 1.0


def _small(evidence: Evidence) -> bool:
    """Whether there are more than ten training samples to a parameter."""
    size = sum(layer.parameters for layer in evidence.info.layers)
    return evidence.has("train_samples") and evidence.number("train_samples") > SAMPLES * size


def _check(session: Session, root: nn.Module) -> None:
    owners: dict[nn.Parameter, str] = {}
    for name, module in root.named_modules(remove_duplicate=False):
        own = list(module.parameters(recurse=False))
        if own and type(module) not in (*LAYERS, *ADAPTABLE):
            raise CannotApply(f"{name or 'the model'} ({type(module).__name__}) has parameters", context="width")
        for parameter in own:
            if parameter in owners:
                raise CannotApply(f"{owners[parameter]} and {name} share a weight", context="width")
            owners[parameter] = name
            if not parameter.requires_grad:
                raise CannotApply(f"{name} is frozen: what it has learned would be lost", context="width")
    if any(optimizer.state for optimizer in session.optimizers):
        raise CannotApply("an optimizer has made steps already", context="width")
    check_alone("width", "DistributedDataParallel knows the old sizes")


def _outputs(place: Place, factor: float) -> int:
    layer: Any = place.layer
    if not place.seen or place.calls != 1:
        raise CannotApply(f"layer {place.name} is not called once in a forward pass", context="width")
    width = layer.out_channels if place.spatial else layer.out_features
    return int(width) if place.last else max(1, round(width * factor))


def _arrivals(root: nn.Module, inputs: Any, outputs: dict[nn.Module, int]) -> dict[nn.Module, tuple[int, ...]]:
    """What each module reads once hidden layers have these outputs. Leaves parameters of the new sizes behind.

    Raises: CannotApply where the model cannot be called so, or gives other shapes than before.
    """
    sizes: dict[nn.Module, tuple[int, ...]] = {}

    def fit(module: nn.Module, args: tuple[Any, ...]) -> None:
        size = arriving(module, args[0])
        if sizes.setdefault(module, size) != size:
            raise CannotApply("a norm reads inputs of two widths", context="width")
        resize(module, size, outputs.get(module))

    modules = [module for module in root.modules() if isinstance(module, (*LAYERS, *ADAPTABLE))]
    handles: list[Any] = []
    try:
        with eager(), untouched(root):
            for module in root.modules():
                module.training = False
            expected = [tensor.shape for tensor in _tensors(_forward(root, inputs))]
            handles = [module.register_forward_pre_hook(fit) for module in modules]
            found = [tensor.shape for tensor in _tensors(_forward(root, inputs))]
    except FOREIGN as error:
        raise CannotApply(f"the model does not take other widths ({error})", context="width") from error
    finally:
        for handle in handles:
            handle.remove()
    if found != expected:
        raise CannotApply("the model gives other shapes with other widths", context="width")
    return sizes


def _shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters(recurse=False)]
