"""Where the first value that is not a number came from: the fact `non_finite`, made once, after it has happened.

A healthy run pays for a sum of the losses once an epoch, a sum of what the model got of each batch that is read anyway,
one walk over the first step's graph (two more facts: singular_operations, and flat_operations, through which no
gradient passes), and the sentinel, which knows the step at which a gradient was not a number
whatever steps are sampled. From it come three series by epoch as well: gradient_median and gradient_peak of its steps,
and loss_at_peak, the loss of the step with the largest gradient over the median loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from advisor.instruments import Live, LossCall
from advisor.instruments._scanning import bad, scan
from advisor.instruments._sentinel import Sentinel
from advisor.record import Json

BEFORE = 10  # losses before the first that is not a number: whether it grew or was ordinary
MOST_NODES = 20_000  # of a graph that are looked at, about 1 µs each
SINGULAR = (  # the derivative is infinite or undefined somewhere where the value is finite; most suspicious first
    "SqrtBackward",
    "PowBackward",
    "AcosBackward",
    "AsinBackward",
    "AcoshBackward",
    "Atan2Backward",
    "DivBackward",
    "LogBackward",
    "ExpBackward",
)
FLAT = ("RoundBackward", "FloorBackward", "CeilBackward", "TruncBackward", "SignBackward", "SgnBackward")  # slope 0


class NonFinite:
    """Keeps what an explanation will need, and looks for it once."""

    def __init__(self) -> None:
        self._sentinel: Sentinel | None = None
        self._stepped = 0  # of the sentinel's optimizer, when the epoch began
        self._losses: Tensor | None = None  # the last of the epoch before
        self._norms: Tensor | None = None
        self._first: float | None = None
        self._validated: list[Tensor] = []
        self._given: list[Tensor] = []
        self._targets: Tensor | None = None
        self._walked = self._done = False

    def start(self, live: Live) -> None:
        self._sentinel = Sentinel(live)

    def after_backward(self, live: Live, root: Tensor) -> None:
        if not self._walked:
            self._walked = True
            there = _operations(root)
            for fact, kinds in (("singular_operations", SINGULAR), ("flat_operations", FLAT)):
                live.fact(fact, [name.removesuffix("Backward").lower() for name in kinds if name in there])

    def train_inputs(self, _: Live, given: Any) -> None:
        floats = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        if floats:
            self._given.append(torch.stack([leaf.detach().sum().float() for leaf in floats]).sum())

    def validation(self, _: Live, call: LossCall) -> None:
        self._validated.append(call.value)

    def clean(self, _: Live, calls: Sequence[LossCall], __: object) -> None:
        targets = [c.target.sum() for c in calls if c.target is not None and c.target.is_floating_point()]
        self._targets = torch.stack(targets) if targets else None

    def epoch_end(self, live: Live) -> None:
        if self._done or self._sentinel is None:
            return
        losses, norms = live.losses, self._sentinel.take()
        given, validated, self._given, self._validated = self._given, self._validated, [], []
        if losses is None:
            return
        flags = [torch.isfinite(losses).all()]
        if validated:
            flags.append(torch.isfinite(torch.stack([value.float() for value in validated])).all())
        fine = torch.stack(flags).tolist()
        if all(fine):
            self._first = float(losses[0]) if self._first is None else self._first
            self._losses = losses[-BEFORE:].clone()
            if norms is not None:
                self._stepped += len(norms)
                self._norms = norms[-BEFORE:].clone()
                _emit(live, norms, losses)
            return
        self._done = True
        self._sentinel.let_go()
        found = self._explained(live, norms, phase="train" if not fine[0] else "val")
        shares = torch.stack(given) if given else None
        live.fact("non_finite", {**found, "given": _share(shares, masks=True)})

    def finish(self, _: Live) -> None:
        if self._sentinel is not None:
            self._sentinel.let_go()

    def _explained(self, live: Live, norms: Tensor | None, *, phase: str) -> dict[str, Json]:
        loader = live.train if phase == "train" else live.val
        weights = [x.name for x in live.layers if not all(bool(torch.isfinite(p).all()) for p in x.parameters)]
        return {
            "phase": phase,
            "epoch": live.epoch,
            **(self._when(live, norms) if phase == "train" else {}),
            "kept_targets": _share(self._targets),
            "data": scan(loader) if loader is not None else None,
            "weights": [str(name) for name in weights],
        }

    def _when(self, live: Live, norms: Tensor | None) -> dict[str, Json]:
        """step of the first bad loss and gradient; the losses and norms before them; the first loss of the run."""
        losses = live.losses
        assert losses is not None  # the caller saw them
        at = int((~torch.isfinite(losses)).nonzero()[0])
        before = _before(self._losses, losses[:at])
        step = live.step - live.steps_in_epoch + at * live.steps_in_epoch // max(1, len(losses)) + 1
        found: dict[str, Json] = {
            "step": step,
            "before": [float(x) for x in before],
            "first": self._first if self._first is not None else before[0] if before else None,
            "gradients_known": norms is not None,
        }
        if norms is not None:
            broken = (~torch.isfinite(norms)).nonzero()
            end = int(broken[0]) if len(broken) else len(norms)
            _emit(live, norms[: min(end, at)], losses[: min(end, at)])
            found["gradient_step"] = self._stepped + end + 1 if len(broken) else None
            found["norms"] = [float(x) for x in _before(self._norms, norms[:end])]
        return found


def _emit(live: Live, norms: Tensor, losses: Tensor) -> None:
    """The gradients of an epoch, as far as they are numbers."""
    if not len(norms):
        return
    live.emit("gradient_median", "train", norms.median())
    live.emit("gradient_peak", "train", norms.max())
    if len(norms) == len(losses):
        live.emit("loss_at_peak", "train", losses[norms.argmax()] / losses.median())


def _before(last: Tensor | None, now: Tensor) -> list[float]:
    """The last ten of the epoch before and of this one."""
    values: list[float] = (now if last is None else torch.cat([last, now]))[-BEFORE:].tolist()
    return values


def _share(sums: Tensor | None, *, masks: bool = False) -> list[Json] | None:
    """[batches with a value that is not finite, batches]; -inf is none where a batch may hold an attention mask."""
    if sums is None:
        return None
    wrong = torch.isnan(sums) | torch.isposinf(sums) if masks else bad(sums)
    return [int(wrong.sum()), len(sums)]


def _operations(root: Tensor) -> set[str]:
    """The kinds of operations below a loss, as autograd names them: "SqrtBackward"."""
    seen: set[Any] = set()
    waiting: list[Any] = [root.grad_fn]
    found: set[str] = set()
    while waiting and len(seen) < MOST_NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.add(type(node).__name__.partition("Backward")[0] + "Backward")
        waiting += [child for child, _ in node.next_functions]
    return found


instrument = NonFinite
