"""loss_terms per sampled step: what each term adds to the loss that backward begins at; and whether that is a sum.

The graph of the root is walked down its sums, differences and products with plain numbers to the values of the loss
functions that ran in the step. What is left, such as a penalty written out in the loop, is the term "rest". Values stay
on their device. Facts:

    loss_weights    one table a term: name, weight, guess (the loss of the best constant answer, mean over the newest
                    epoch's steps: targets that a model makes, as a teacher does, change)
    backward_root   summed: elements of the batch that the root adds up without dividing; None for a mean
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from advisor.instruments import HeardLoss, Live
from advisor.instruments._graph import differentiable, rearranges, scalar_factor, shape_of
from advisor.record import Json

MOST_TERMS = 8  # of a loss that is written out by hand
REST = "rest"
SUM = 2  # torch's number for reduction="sum" in a saved node
ELEMENTWISE = 6  # nodes below a sum that are looked at for a division


@dataclass(frozen=True, slots=True)
class Term:
    """A loss function's value in the step under way; node: of its graph; size: samples of the batch."""

    name: str
    value: Tensor
    node: Any
    guess: Tensor | None
    summed: bool
    elements: int
    size: int


class LossTerms:
    """Keeps the values of a step's loss functions until its backward pass begins, and no longer."""

    def __init__(self) -> None:
        self._terms: list[Term] = []
        self._inside = False
        self._axis: tuple[str, ...] = ()
        self._weights: tuple[float, ...] = ()
        self._guesses: list[Tensor] = []

    def loss_called(self, _: Live, heard: HeardLoss) -> None:
        covered = not heard.inside and self._inside  # the user's own: its terms have been heard
        self._inside = heard.inside
        if heard.value.requires_grad and not covered and len(self._terms) < MOST_TERMS:
            self._terms.append(_term(heard))

    def before_backward(self, live: Live, root: Tensor) -> None:
        terms, self._terms, self._inside = self._terms, [], False
        if root.grad_fn is None:
            return
        node, value = _unscaled(root)
        known = {id(term.node): term for term in terms if term.value.dim() == 0}
        if "backward_root" not in live.recorder.facts:
            size = max((term.size for term in terms), default=0)
            summed = _summed(node, known, size)
            live.fact("backward_root", {"summed": summed, "samples": size})
        leaves: dict[int, float] = {}
        rest = _walk(node, known, 1.0, leaves)
        found = [(term, leaves[id(term.node)]) for term in known.values() if id(term.node) in leaves]
        if not found or len(found) + rest < 2:
            return
        self._emit(live, value, found, rest=rest)

    def step_end(self, _: Live) -> None:
        self._terms.clear()

    def epoch_end(self, live: Live) -> None:
        self._terms.clear()
        if self._axis and self._guesses:
            guesses = torch.stack(self._guesses).nanmean(0).tolist()
            told: list[Json] = [
                {"name": name, "weight": weight, "guess": guess if math.isfinite(guess) else None}
                for name, weight, guess in zip(self._axis, self._weights, guesses, strict=True)
            ]
            live.fact("loss_weights", told)
            self._guesses.clear()

    def _emit(self, live: Live, whole: Tensor, found: list[tuple[Term, float]], *, rest: int) -> None:
        axis = _named([term.name for term, _ in found] + [REST] * rest)
        if self._axis and axis != self._axis:
            return  # a loop that alternates: only the terms of its first step are followed
        values = [term.value.detach().float() * weight for term, weight in found]
        weights = [weight for _, weight in found]
        nothing = torch.full((), math.nan, device=whole.device)
        guesses = [nothing if term.guess is None else term.guess for term, _ in found]
        if rest:
            values.append(whole - torch.stack(values).sum())
            weights.append(1.0)
            guesses.append(nothing)
        self._axis, self._weights = axis, tuple(weights)
        self._guesses.append(torch.stack(guesses))
        live.emit("loss_terms", "step", torch.stack(values).abs(), axis)


def _unscaled(root: Tensor) -> tuple[Any, Tensor]:
    """Node and value of the loss, below the factor by which a GradScaler multiplies it: a scalar on the device."""
    node, value = root.grad_fn, root.detach().float()
    before = differentiable(node)
    if node is not None and node.name() == "MulBackward0" and len(before) == 1:
        sides = (getattr(node, side, None) for side in ("_saved_other", "_saved_self"))
        scale = next((s for s in sides if isinstance(s, Tensor) and s.dim() == 0 and s.device.type != "cpu"), None)
        if scale is not None:
            return before[0], value / scale.detach()
    return node, value


def _term(heard: HeardLoss) -> Term:
    counted = heard.target if heard.target is not None else heard.output
    return Term(
        heard.name,
        heard.value,
        heard.value.grad_fn,
        _guess(heard),
        heard.given.get("reduction") == "sum",
        counted.numel() if counted is not None else 0,
        int(counted.shape[0]) if counted is not None and counted.dim() else 0,
    )


def _guess(heard: HeardLoss) -> Tensor | None:
    """What the best constant answer would get: variance or entropy of the targets, ln C; None where not known."""
    output, target = heard.output, heard.target
    if output is None or target is None or heard.given.get("reduction") not in (None, "mean"):
        return None
    if heard.name == "mse_loss" and target.numel() > 1:
        return target.detach().float().var(correction=0)
    if heard.name in ("cross_entropy", "nll_loss") and output.dim() > 1:
        return torch.full((), math.log(max(2, output.shape[1])), device=output.device)
    if heard.name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        share = target.detach().float().mean().clamp(0, 1)
        return -torch.xlogy(share, share) - torch.xlogy(1 - share, 1 - share)
    return None


def _walk(node: Any, known: dict[int, Term], weight: float, leaves: dict[int, float]) -> int:
    """Fill in the weights of the known terms of a sum; 1 where it has other terms too."""
    if id(node) in known:
        leaves[id(node)] = leaves.get(id(node), 0.0) + weight
        return 0
    name, before = node.name(), differentiable(node)
    if name == "AddBackward0" and shape_of(node) == ():
        return max([_walk(one, known, weight, leaves) for one in before], default=0)
    if name == "SubBackward0" and shape_of(node) == () and len(before) == 2:
        return max(_walk(one, known, sign * weight, leaves) for sign, one in zip((1, -1), before, strict=True))
    factor = scalar_factor(node)
    if factor is not None and shape_of(node) == ():
        return _walk(before[0], known, factor * weight, leaves)
    if rearranges(node) and len(before) == 1:
        return _walk(before[0], known, weight, leaves)
    return 1


def _summed(node: Any, known: dict[int, Term], size: int) -> int | None:
    """Elements that a loss adds up over the batch without dividing; None where it divides, or cannot be told."""
    term = known.get(id(node))
    if term is not None and term.summed:
        return term.elements
    name, before = node.name(), differentiable(node)
    if name == "AddBackward0" and shape_of(node) == ():
        return next((n for n in (_summed(one, known, size) for one in before) if n is not None), None)
    if getattr(node, "_saved_reduction", None) == SUM and before:
        return math.prod(shape_of(before[0])) or None
    if name != "SumBackward0" or not before:
        return None
    shape = shape_of(before[0])
    whole = size > 1 and bool(shape) and shape[0] == size
    return math.prod(shape) if whole and not _divides(before[0]) else None


def _divides(node: Any) -> bool:
    """Whether what a sum adds up was divided or weighted on its way."""
    for _ in range(ELEMENTWISE):
        if node.name() == "DivBackward0" or scalar_factor(node) is not None:
            return True
        before = differentiable(node)
        if len(before) != 1:
            return False
        node = before[0]
    return False


def _named(names: list[str]) -> tuple[str, ...]:
    """A second term of the same name gets a number."""
    return tuple(n if names[:i].count(n) == 0 else f"{n} {names[:i].count(n) + 1}" for i, n in enumerate(names))


instrument = LossTerms
