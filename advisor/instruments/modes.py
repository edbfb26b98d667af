"""In which mode the modules are that behave otherwise in training than in evaluation: dropout, and batch statistics.

Shares of such modules, in [0, 1], one row an epoch, with the axis (dropout, normalisation, model); `model` is the
outermost module's own flag, and a kind that the model has not is NaN:

    eval_in_training    in eval mode, over the steps of the epoch; a module counts where the model is in eval mode, too
    train_in_validation in train mode, over the losses of the user's own validation

What is frozen is left out: its normalisation, and the dropout inside it, may be in either mode on purpose. Fact:

    mode_modules        how many there are, and `untouched`: normalisations whose statistics were still at their start
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from advisor.instruments import Live, LossCall

AXIS = ("dropout", "normalisation", "model")
DRAWS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "bernoulli", "bernoulli_", "rand"}


class Modes:
    """Counts flags; nothing is read from a device but the counters of batch normalisation, at the start."""

    def __init__(self) -> None:
        self._steps = 0  # of the epoch, in eval mode
        self._then: tuple[float, ...] = ()  # the shares at the first of them
        self._validation: list[tuple[float, ...]] = []
        self._modules: tuple[list[nn.Module], list[nn.Module]] = ([], [])

    def start(self, live: Live) -> None:
        self._find(live)
        counters = [getattr(module, "num_batches_tracked", None) for module in self._modules[1]]
        untouched = sum(isinstance(counter, torch.Tensor) and not counter.any() for counter in counters)
        dropout, normalisation = map(len, self._modules)
        live.fact("mode_modules", {"dropout": dropout, "normalisation": normalisation, "untouched": untouched})

    def step_in_eval(self, _: Live) -> None:
        self._steps += 1
        if self._steps == 1:
            self._then = self._shares(model=False, wanted=False)

    def validation(self, live: Live, _: LossCall) -> None:
        if not live.own_pass and live.validated_in_train is not None:
            self._validation.append(self._shares(model=live.validated_in_train, wanted=True))

    def epoch_end(self, live: Live) -> None:
        if live.steps_in_epoch:
            share = min(1.0, self._steps / live.steps_in_epoch)  # an optimizer may step more than once a round
            then = self._then or self._shares(model=False, wanted=False)
            live.emit("eval_in_training", "train", [share * one for one in then], AXIS)
        if self._validation:
            means = [sum(column) / len(self._validation) for column in zip(*self._validation, strict=True)]
            live.emit("train_in_validation", "val", means, AXIS)
        self._steps, self._then, self._validation = 0, (), []
        self._find(live)  # a backbone may have been frozen, or unfrozen, since

    def _find(self, live: Live) -> None:
        frozen = _frozen(live.model)
        found = [module for module in live.model.modules() if id(module) not in frozen]
        self._modules = [m for m in found if _drops(m)], [m for m in found if _normalises(m)]

    def _shares(self, *, model: bool, wanted: bool) -> tuple[float, ...]:
        return (*(_share(modules, wanted=wanted) for modules in self._modules), float(model is wanted))


def _frozen(model: nn.Module) -> set[int]:
    """The modules that are in a part with parameters none of which is trained."""
    frozen: set[int] = set()
    if all(p.requires_grad for p in model.parameters()):
        return frozen
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            frozen |= {id(inner) for inner in module.modules()}
    return frozen


def _share(modules: Sequence[nn.Module], *, wanted: bool) -> float:
    return sum(m.training is wanted for m in modules) / len(modules) if modules else float("nan")


def _drops(module: nn.Module) -> bool:
    """Whether it leaves values out at random, in training only."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.RNNBase):
        return bool(module.num_layers > 1 and module.dropout > 0)
    if isinstance(module, nn.MultiheadAttention):
        return bool(module.dropout > 0)
    if type(module).__module__.startswith("torch."):
        return isinstance(module, nn.RReLU)
    code = getattr(type(module).forward, "__code__", None)
    names = set(getattr(code, "co_names", ()))
    return "training" in names and bool(names & DRAWS)  # F.dropout(x, 0.5, self.training), and the like


def _normalises(module: nn.Module) -> bool:
    """Whether it takes the batch's own statistics in training, and those that it counted in evaluation."""
    return isinstance(module, _BatchNorm | _InstanceNorm) and module.track_running_stats


instrument = Modes
