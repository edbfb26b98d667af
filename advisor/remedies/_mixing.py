"""Batches mixed with themselves in another order, and the losses that go with them: what mixup and cutmix share.

A mixed batch keeps its targets. When the loss function is called with them in training, it gets mixed ones:
share · loss(y) + (1 - share) · loss(y[order]) in one call. Which tensor of a batch the loss is to reach is learnt by
value in the first epoch, in which nothing is mixed; so what `watch` keeps of that epoch for its eval-mode pass is
clean. Where none is found nothing is ever mixed. Later each call finds the mix of its own batch by the values of its
target, on its device and without waiting for it: losses with other targets, and batches loaded ahead, are no trouble.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from torch import Tensor

from advisor.errors import CannotApply
from advisor.loss_changes import LossArguments
from advisor.record import Record
from advisor.remedies import Session
from advisor.remedies._batches import Trains, example_of, find_input, leaves, with_input
from advisor.remedies._random import own_generator

Mix = Callable[[Tensor, Tensor], tuple[Tensor, float]]  # images, order -> mixed with images[order], share of their own
CLASSES = ("cross_entropy", "nll_loss")
LINEAR = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy",
)  # fmt: skip  # with floating targets, which are mixed themselves
RECENT = 4  # batches that a loss may belong to: of several loaders, or loaded one ahead
LOOKS = 64  # loss calls of the first epoch that are compared by value: each waits for its device


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch: its tensors but the mixed one, how it was mixed. order: (N,); share: of each sample's own."""

    others: tuple[Tensor, ...]
    order: Tensor
    share: float

    def fits(self, target: Tensor, place: int) -> bool:
        own = self.others[place] if place < len(self.others) else None
        return own is not None and len(own) == len(target) and own.numel() == target.numel()


def start(session: Session, name: str, mix: Mix, *, images: bool) -> None:
    """Mix training batches from the second epoch on. Raises: CannotApply where there is nothing to mix."""
    example = example_of(session, name)
    inputs, targets = find_input(example[0]), example[1]
    if inputs is None or inputs.dim() < 2 or (images and inputs.dim() != 4):
        raise CannotApply(f"expected inputs {'(N, C, H, W)' if images else 'of numbers (N, …)'}", context=name)
    if images and targets is not None and targets.shape[-2:] == inputs.shape[-2:]:
        raise CannotApply("the targets are images too and would have to be cut with the inputs", context=name)
    if session.epochs == 1 and not session.step_based:
        raise CannotApply("the first epoch is never mixed, and there is no second", context=name)
    mixer = _Mixer(session, name, mix, inputs)
    session.on_train_batch(mixer.change_batch)
    session.on_loss(mixer.change_loss)
    session.on_epoch(lambda _: mixer.begin())
    session.note(name, {"batches": 0, "losses": False})
    session.on_finish(lambda: session.note(name, {"batches": mixer.batches, "losses": mixer.losses}))


def were_mixed(record: Record, name: str) -> bool:
    """Whether batches were mixed and a loss got mixed targets."""
    note = record.facts.get(f"remedy.{name}")
    return isinstance(note, dict) and bool(note.get("batches")) and bool(note.get("losses"))


class _Mixer:
    """What was mixed lately, and whether the first epoch is over."""

    def __init__(self, session: Session, name: str, mix: Mix, inputs: Tensor) -> None:
        self.batches, self.losses = 0, False
        self._session, self._mix, self._inputs = session, mix, inputs
        self._generator, self._trains = own_generator(name), Trains(session)
        self._recent: deque[Mixed] = deque(maxlen=RECENT)
        self._place: int | None = None  # of the target among a batch's other tensors, once it is known
        self._plain, self._looks = True, 0

    def begin(self) -> None:
        """The first epoch is over."""
        self._plain = self._place is None

    def change_batch(self, batch: Any) -> Any:
        if not self._trains():
            return batch

        def change(x: Tensor) -> Tensor:
            others = tuple(leaf for leaf in leaves(batch) if leaf is not x and leaf.dim() and len(leaf) == len(x))
            order = torch.randperm(len(x), generator=self._generator)
            mixed, share = (x, 1.0) if self._plain else self._mix(x, order.to(x.device))
            self._recent.append(Mixed(others, order, share))
            self.batches += mixed is not x
            return mixed

        return with_input(batch, self._inputs, change)

    def change_loss(self, call: LossArguments) -> LossArguments:
        target = call.target
        if target is None or not target.dim() or not _is_mixable(call) or not torch.is_grad_enabled():
            return call
        if torch.compiler.is_compiling() or self._session.validating():
            return call
        if self._plain:
            self._learn(target)
            return call
        place = self._place
        fitting = [m for m in reversed(self._recent) if place is not None and m.fits(target, place)]
        if place is None or not fitting:
            return call
        self.losses = True
        order, share = _belonging(fitting, place, target)
        return _mixed_call(call, target, order, share)

    def _learn(self, target: Tensor) -> None:
        if self._place is not None or self._looks >= LOOKS:
            return
        self._looks += 1
        for mixed in reversed(self._recent):
            for place in range(len(mixed.others)):
                if mixed.fits(target, place) and bool(_is_of(mixed, place, target)):
                    self._place = place
                    return


def _is_mixable(call: LossArguments) -> bool:
    target = call.target
    if target is None or call.given.get("size_average") is not None or call.given.get("reduce") is not None:
        return False
    if target.is_floating_point():
        return call.name in LINEAR
    return call.name in CLASSES and call.output is not None and call.output.dim() == target.dim() + 1


def _is_of(mixed: Mixed, place: int, target: Tensor) -> Tensor:
    """() bool, on the target's device: whether it has the values of a batch's tensor."""
    own = mixed.others[place].to(target.device, target.dtype)
    return torch.all(own.reshape(-1) == target.reshape(-1))


def _belonging(fitting: list[Mixed], place: int, target: Tensor) -> tuple[Tensor, Tensor]:
    """The order (N,) and the share () of the latest batch with this target; 1 where it is of none of them."""
    same = torch.stack([_is_of(mixed, place, target) for mixed in fitting])
    latest = torch.arange(len(fitting), 0, -1, device=target.device)
    chosen = (same * latest).argmax().reshape(1)
    orders = torch.stack([mixed.order for mixed in fitting]).to(target.device)
    shares = torch.tensor([mixed.share for mixed in fitting], device=target.device)
    share = torch.where(same.any(), shares.index_select(0, chosen).squeeze(0), 1.0)
    return orders.index_select(0, chosen).squeeze(0), share


def _mixed_call(call: LossArguments, target: Tensor, order: Tensor, share: Tensor) -> LossArguments:
    """The call with share · target + (1 - share) · target[order], classes as their probabilities."""
    if target.is_floating_point():
        share = share.to(target.dtype)
        return call.replace(target=share * target + (1 - share) * target[order])
    soft = _probabilities(call, target)
    mixed = share * soft + (1 - share) * soft[order]
    assert call.output is not None  # _is_mixable
    # nll_loss gets logarithms of probabilities, which log_softmax leaves as they are
    return call.replace("cross_entropy", target=mixed.to(call.output.dtype), ignore_index=-100, label_smoothing=0.0)


def _probabilities(call: LossArguments, target: Tensor) -> Tensor:
    """(N, C, …) of classes (N, …), so that cross_entropy with them is cross_entropy with the classes.

    Smoothed here, and nothing for an ignored target. With probabilities the mean is one over all targets; with classes
    over the weights of those that count: the quotient is multiplied in, which the function allows.
    """
    output, given = call.output, call.given
    assert output is not None  # _is_mixable
    classes = output.shape[1]
    weight, smoothing = given.get("weight"), float(given.get("label_smoothing", 0.0))
    counted = target != given.get("ignore_index", -100)
    known = torch.where(counted, target, 0)
    soft: Tensor = F.one_hot(known, classes).movedim(-1, 1).float() * (1 - smoothing) + smoothing / classes
    soft = soft * counted.unsqueeze(1)
    if given.get("reduction", "mean") == "mean":
        total = counted.sum() if weight is None else (weight[known] * counted).sum()
        soft = soft * (target.numel() / total)
    return soft
