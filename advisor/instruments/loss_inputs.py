"""What reaches the loss functions of training: shapes, ranges, sums, the last operation of the model; in two epochs.

The fact `loss_inputs` is a list of `advisor.loss_inputs.LossInputs`, one for each loss function that a step calls. A
loss function of the user's own is looked into: where it calls one of torch's, what reaches that one is noted. All that
is read from tensors is kept on their device as a running maximum and comes over at the end of the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from advisor.instruments import HeardLoss, Live
from advisor.instruments._graph import (
    bounds,
    distance,
    enlarging_difference,
    last_operations,
    shape_of,
    softmaxes_between,
)
from advisor.loss_inputs import LossInputs
from advisor.record import Json
from advisor.sampling import EPOCHS_READ

MOST = 2**16  # elements looked at in a step: the sums of some hundred rows of some hundred classes
MOST_CALLS = 6  # loss functions of a step: more than in any loss that is written out by hand
DIMENSIONS = 4  # (N, C, H, W)
VALUES = 256  # of targets kept for counting, a step
STEPS_COUNTED = 64  # with those, 16,384 values in all
MOST_DISTINCT = 1000  # more values than that are numbers and no classes
NAMES = (
    ["low", "high", "neg_zeros", "target_low", "target_high", "target_fraction", "target_spread"]
    + [f"sum_{d}" for d in range(DIMENSIONS)]
    + [f"exp_sum_{d}" for d in range(DIMENSIONS)]
    + [f"target_sum_{d}" for d in range(DIMENSIONS)]
)


@dataclass
class Seen:
    """One loss function of the step: what its first call showed, and the running maximum of `NAMES`, on the device."""

    first: LossInputs
    steps: int = 0
    numbers: Tensor | None = None
    ends: Tensor | None = None  # sum over the steps of the share at an end of the bounds
    targets: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)  # (2,) lowest and highest label of each of these batches


class LossInputsSeen:
    """Tells the loss functions of a step apart by their order since the last backward pass, and by name."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], Seen] = {}
        self._position = 0
        self._labels: Tensor | None = None  # the batch's whole numbers
        self._pooled: list[Tensor] = []  # those of all batches that were read
        self._inner = 0  # of torch's functions since the user's own began

    def train_batch(self, live: Live, batch: Any) -> None:
        """The second tensor of a batch, where it holds whole numbers: class labels, if the loss is written out."""
        if live.epoch >= EPOCHS_READ:
            return
        second = batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None
        whole = isinstance(second, Tensor) and not (second.is_floating_point() or second.is_complex())
        self._labels = second if isinstance(second, Tensor) and whole else None
        if self._labels is not None and self._labels.dim() == 1 and len(self._pooled) < STEPS_COUNTED:
            self._pooled.append(self._labels[:VALUES].clone())

    def loss_called(self, live: Live, heard: HeardLoss) -> None:
        if live.epoch >= EPOCHS_READ:
            return
        covered = not heard.inside and self._inner > 0  # the user's own, which called one of torch's
        self._inner = self._inner + 1 if heard.inside else 0
        if covered or not heard.value.requires_grad or heard.output is None or not heard.output.is_floating_point():
            return
        key = self._position, heard.name
        self._position += 1
        if key not in self._seen:
            if len(self._seen) >= MOST_CALLS:
                return
            self._seen[key] = Seen(_first(heard))
        seen = self._seen[key]
        enlarged = _enlarged(heard) if seen.first.enlarged is None else None
        if enlarged is not None:
            seen.first = seen.first.model_copy(update=enlarged)
        if self._labels is not None and self._labels.dim() == 1:
            seen.labels.append(torch.stack(self._labels.aminmax()))
        with torch.no_grad():
            _look(seen, heard.output.detach(), None if heard.target is None else heard.target.detach())

    def before_backward(self, live: Live, root: Tensor) -> None:
        """A loss that is written out in the loop is seen by its graph only."""
        if live.epoch < EPOCHS_READ and not self._position and (0, "") not in self._seen:
            found = _written_out(root.grad_fn, self._labels)
            if found is not None:
                self._seen[0, ""] = Seen(found)

    def after_backward(self, _: Live, __: Tensor) -> None:
        self._position = self._inner = 0

    def step_end(self, _: Live) -> None:
        self._position = self._inner = 0

    def epoch_end(self, live: Live) -> None:
        if live.epoch < EPOCHS_READ and self._seen:
            counted = _counted(self._pooled)
            told = [_with_labels(_told(seen), seen, counted) for seen in self._seen.values()]
            found: list[Json] = [one.model_dump(mode="json") for one in told]
            live.fact("loss_inputs", found)
        if live.epoch + 1 >= EPOCHS_READ:
            self._seen.clear()
            self._pooled.clear()
            self._labels = None


def _first(heard: HeardLoss) -> LossInputs:
    """What is known without a look at a value."""
    assert heard.output is not None  # seen by whoever calls
    output, target = heard.output, heard.target
    operations = last_operations(output.grad_fn)
    torchs = hasattr(nn.functional, heard.name)
    inner = [] if torchs else softmaxes_between(heard.value.grad_fn, output.grad_fn)
    softmaxes = [o for o in operations[:1] if o.dim is not None and o.shape]
    softmax = next(iter(softmaxes + [o for o in inner if o.shape == tuple(output.shape)]), None)
    low, high = bounds(output.grad_fn)
    measured = None if torchs else distance(heard.value.grad_fn)
    return LossInputs(
        name=heard.name,
        measures=heard.name if torchs else measured[0] if measured else "",
        own=not torchs,
        target_first=heard.target_first,
        reduction=str(heard.given.get("reduction") or "mean"),
        output_shape=tuple(output.shape),
        target_shape=tuple(target.shape) if target is not None else (),
        target_dtype=str(target.dtype).removeprefix("torch.") if target is not None else "",
        last=tuple(o.name for o in operations),
        softmax=(softmax.dim or 0, softmax.shape) if softmax else None,
        bounds=(_known(low), _known(high)),
    )


def _written_out(root: Any, labels: Tensor | None) -> LossInputs | None:
    """What the graph says of a loss that calls no loss function; None where it is none that is known."""
    pairs = enlarging_difference(root)
    if pairs is not None:
        output, shape = pairs
        target = shape[:1] if len(output) > 1 else (*shape[:1], 1)
        return LossInputs(name="", own=True, output_shape=output, target_shape=target, enlarged=shape)
    measured = distance(root)
    if measured is None:
        return None
    name, node = measured
    low, high = bounds(node)
    return LossInputs(
        name="",
        own=True,
        measures=name,
        output_shape=shape_of(node),
        target_shape=tuple(labels.shape) if labels is not None else (),
        target_dtype=str(labels.dtype).removeprefix("torch.") if labels is not None else "",
        last=tuple(operation.name for operation in last_operations(node)),
        bounds=(_known(low), _known(high)),
    )


def _enlarged(heard: HeardLoss) -> dict[str, tuple[int, ...]] | None:
    """Both shapes and what broadcasting makes of them, where that is larger than both."""
    output, target = heard.output, heard.target
    if output is None or target is None or output.shape == target.shape:
        return None
    try:
        shape = torch.broadcast_shapes(output.shape, target.shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        return None  # for a loss such as the cross entropy, whose sides are not compared one by one
    if math.prod(shape) <= max(output.numel(), target.numel()):
        return None
    if not hasattr(nn.functional, heard.name) and enlarging_difference(heard.value.grad_fn) is None:
        return None  # a function of the user's own, which brought the two to one shape itself
    return {"output_shape": tuple(output.shape), "target_shape": tuple(target.shape), "enlarged": tuple(shape)}


def _look(seen: Seen, output: Tensor, target: Tensor | None) -> None:
    """Take a step's numbers into the running maximum; fmax leaves out what is no number."""
    seen.steps += 1
    if not output.numel():
        return
    part = _part(output).float()
    nothing = torch.full((), math.nan, device=output.device)
    found = {"low": -part.amin(), "high": part.amax(), "neg_zeros": -(part == 0).float().mean()}
    ends = [(part == end).float().mean() for end in seen.first.bounds if end is not None]
    if ends:
        seen.ends = torch.stack(ends if seen.ends is None else [*ends, seen.ends]).sum()
    for d in range(min(DIMENSIONS, output.dim())):
        whole = _part(output, d).float()
        found[f"sum_{d}"] = _off(whole, d)
        found[f"exp_sum_{d}"] = _off(whole.exp(), d)
    if target is not None and target.numel() and not target.is_complex():
        values = _part(target).float()
        found["target_low"], found["target_high"] = -values.amin(), values.amax()
        found["target_fraction"] = (values - values.round()).abs().amax()
        found["target_spread"] = values.amax() - values.amin()
        for d in range(min(DIMENSIONS, target.dim())):
            found[f"target_sum_{d}"] = _off(_part(target, d).float(), d)
        if seen.steps <= STEPS_COUNTED:
            seen.targets.append(target.reshape(-1)[:VALUES].float())
    numbers = torch.stack([found.get(name, nothing).to(output.device) for name in NAMES])
    seen.numbers = numbers if seen.numbers is None else torch.fmax(seen.numbers, numbers)


def _part(tensor: Tensor, whole: int = -1) -> Tensor:
    """The front of a tensor, at most `MOST` elements, with one dimension left whole."""
    for d in range(tensor.dim()):
        if d != whole and tensor.numel() > MOST:
            rest = max(1, tensor.numel() // tensor.shape[d])
            tensor = tensor.narrow(d, 0, max(1, MOST // rest))
    return tensor


def _off(values: Tensor, dimension: int) -> Tensor:
    """How far sums over a dimension are from 1, at most."""
    return (values.sum(dimension) - 1).abs().amax()


def _told(seen: Seen) -> LossInputs:
    """With the numbers from the device: a few copies a loss function, in two epochs."""
    if seen.numbers is None:
        return seen.first
    found = dict(zip(NAMES, map(_known, seen.numbers.tolist()), strict=True))
    outputs, targets = len(seen.first.output_shape[:DIMENSIONS]), len(seen.first.target_shape[:DIMENSIONS])
    fraction, spread = found["target_fraction"], found["target_spread"]
    told = seen.first.model_copy(
        update={
            "steps": seen.steps,
            "output": (_negative(found["low"]), found["high"]),
            "zeros": _negative(found["neg_zeros"]),
            "ends": None if seen.ends is None else float(seen.ends) / max(1, seen.steps),
            "sums_off": tuple(found[f"sum_{d}"] for d in range(outputs)),
            "exp_sums_off": tuple(found[f"exp_sum_{d}"] for d in range(outputs)),
            "target": (_negative(found["target_low"]), found["target_high"]),
            "target_integer": fraction == 0,
            "target_sums_off": tuple(found[f"target_sum_{d}"] for d in range(targets)),
            "target_varies": spread is not None and spread > 0,
        }
    )
    if not seen.targets:
        return told
    low, high = seen.first.bounds
    kept = torch.cat(seen.targets)
    outside = (kept < (-math.inf if low is None else low)) | (kept > (math.inf if high is None else high))
    values, counts = torch.unique(kept, return_counts=True)
    few = len(values) <= MOST_DISTINCT
    update = {
        "distinct": len(values),
        "most_common": float(counts.max() / counts.min()) if few else None,
        "target_outside": float(outside.float().mean()),
    }
    return told.model_copy(update=update)


def _counted(labels: Sequence[Tensor]) -> dict[str, Any]:
    """Range, number and balance of the labels of all batches that were read: more than reach the sampled steps."""
    if not labels:
        return {}
    values, counts = torch.unique(torch.cat(list(labels)), return_counts=True)
    return {
        "target": (float(values[0]), float(values[-1])),
        "distinct": len(values),
        "most_common": float(counts.max() / counts.min()) if len(values) <= MOST_DISTINCT else None,
        "labelled": True,
    }


def _with_labels(one: LossInputs, seen: Seen, counted: dict[str, Any]) -> LossInputs:
    """With the count of labels, where the targets are those labels, one a sample, whatever their type is now."""
    single = len(one.target_shape) > 0 and math.prod(one.target_shape[1:]) == 1
    if not counted or not single or not one.target_integer or len(seen.labels) != seen.steps:
        return one
    ends = torch.stack(seen.labels)
    same = (float(ends[:, 0].min()), float(ends[:, 1].max())) == one.target
    return one.model_copy(update=counted) if same else one


def _negative(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


def _known(value: float) -> float | None:
    """None for what is no number, as JSON has none either."""
    return value if math.isfinite(value) else None


instrument = LossInputsSeen
