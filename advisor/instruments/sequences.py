"""How sequences of tokens end, in the inputs and in what the loss counts: padding, in the first two epochs.

Some rows of the targets that reach a classification loss are kept, and of the whole-number inputs of the same batch;
at the end of the epoch they are looked at on the CPU. Targets that were flattened for the loss are given the length of
the batch's sequences back, one less where the loop predicts the next token. The fact `sequences` is an
`Ends`, None where there is nothing of the kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from advisor.instruments import HeardLoss, Live
from advisor.sampling import EPOCHS_READ

ROWS = 64  # of a batch
BATCHES = 16  # with those some 1,000 sequences: a share of them is known within 0.016
SHORTEST = 4  # tokens: a sequence that can have an inside and an end
LONGEST = 512  # tokens of a row that are looked at
IGNORED = -100  # torch's default of ignore_index


@dataclass(frozen=True, slots=True)
class Ends:
    """How rows of targets end.

    value:     what most rows end in (or begin with, `side`), where the loss does not ignore it
    sequences: rows that were looked at; rows: share of them that end in a run of at least two
    share:     of all targets that lie in such a run
    interior:  share of that value among the other targets: a token that is at home there is no padding
    lengths:   how many different lengths the rows have without the run
    inputs:    share of rows whose inputs are constant where the targets are; None where there are no others
    """

    value: int
    side: str
    sequences: int
    rows: float
    share: float
    interior: float
    lengths: int
    inputs: float | None


class Sequences:
    """Rows of targets and of inputs, from sampled steps."""

    def __init__(self) -> None:
        self._inputs: list[Tensor] = []  # whole numbers (N, T) of the batch under way
        self._rows: list[tuple[Tensor, Tensor | None]] = []
        self._ignored = IGNORED
        self._weight: Tensor | None = None

    def train_batch(self, live: Live, batch: Any) -> None:
        self._inputs.clear()
        if live.epoch < EPOCHS_READ and len(self._rows) < BATCHES:
            self._inputs += [one for one in _tensors(batch) if _is_tokens(one)]

    def loss_called(self, live: Live, heard: HeardLoss) -> None:
        counts = heard.name in ("cross_entropy", "nll_loss") and heard.given.get("reduction") in (None, "mean", "sum")
        target = heard.target
        if not counts or target is None or target.is_floating_point() or live.epoch >= EPOCHS_READ:
            return
        rows = _as_rows(target, self._inputs)
        if rows is None or len(self._rows) >= BATCHES:
            return
        ignored, weight = heard.given.get("ignore_index", IGNORED), heard.given.get("weight")
        self._ignored = ignored if isinstance(ignored, int) else IGNORED
        self._weight = weight.detach() if isinstance(weight, Tensor) else None
        inputs = next((one for one in self._inputs if one.shape[0] == rows.shape[0] and not _same(one, rows)), None)
        self._rows.append((_kept(rows), _kept(inputs) if inputs is not None else None))

    def step_end(self, _: Live) -> None:
        self._inputs.clear()

    def epoch_end(self, live: Live) -> None:
        self._inputs.clear()
        if live.epoch < EPOCHS_READ and self._rows and "sequences" not in live.recorder.facts:
            found = _ends([(rows.cpu(), None if one is None else one.cpu()) for rows, one in self._rows], self._ignored)
            weightless = found is not None and self._weight is not None and self._no_weight(found.value)
            live.fact("sequences", None if weightless or found is None else asdict(found))
        if live.epoch + 1 >= EPOCHS_READ:
            self._rows.clear()
            self._weight = None

    def _no_weight(self, value: int) -> bool:
        """Whether the loss gives a class no weight."""
        return self._weight is not None and 0 <= value < len(self._weight) and float(self._weight[value]) == 0


def _tensors(batch: Any) -> list[Tensor]:
    """Of a tensor, a tuple or a dictionary."""
    if isinstance(batch, Tensor):
        return [batch]
    values: Sequence[Any] = list(batch.values()) if isinstance(batch, dict) else batch
    return [one for one in values if isinstance(one, Tensor)] if isinstance(values, tuple | list) else []


def _is_tokens(tensor: Tensor) -> bool:
    whole = tensor.dtype in (torch.int64, torch.int32, torch.int16, torch.uint8)
    return whole and tensor.dim() == 2 and tensor.shape[1] >= SHORTEST


def _as_rows(target: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
    """(N, T) targets as the batch has them; None where they have no such shape."""
    if target.dim() == 2 and target.shape[1] >= SHORTEST - 1:
        return target
    for one in inputs:
        n, length = one.shape
        for t in (length, length - 1):
            if target.dim() == 1 and t >= SHORTEST - 1 and target.numel() == n * t:
                return target.reshape(n, t)
    return None


def _same(one: Tensor, rows: Tensor) -> bool:
    """Whether a tensor of the batch is where the targets came from, to judge by its memory and its length."""
    return one.shape == rows.shape and one.data_ptr() == rows.data_ptr()


def _kept(rows: Tensor) -> Tensor:
    return rows.detach()[:ROWS, :LONGEST].clone()


def _ends(batches: Sequence[tuple[Tensor, Tensor | None]], ignored: int) -> Ends | None:
    """The side, end or beginning, whose runs cover more of the targets."""
    sides = [_side(batches, ignored, side) for side in ("end", "beginning")]
    return max((one for one in sides if one is not None), key=lambda one: one.share, default=None)


def _side(batches: Sequence[tuple[Tensor, Tensor | None]], ignored: int, side: str) -> Ends | None:
    if side == "beginning":
        batches = [(rows.flip(1), None if inputs is None else inputs.flip(1)) for rows, inputs in batches]
    values, counts = torch.unique(torch.cat([rows[:, -1] for rows, _ in batches]), return_counts=True)
    value = int(values[counts.argmax()])
    if value == ignored:
        return None
    runs: list[int] = []
    lengths: set[int] = set()
    total = inside = agree = compared = 0
    for rows, inputs in batches:
        run = _run(rows == value)
        runs += run.tolist()
        lengths |= set((rows.shape[1] - run).tolist())
        total += rows.numel()
        inside += int((rows == value).sum() - run.sum())
        if inputs is not None:
            constant, long = _run(inputs == inputs[:, -1:]), run > 1
            agree += int((((constant - run).abs() <= 1) & long).sum())  # 1: targets may be shifted by a token
            compared += int(long.sum())
    covered = sum(run for run in runs if run > 1)
    return Ends(
        value=value,
        side=side,
        sequences=len(runs),
        rows=sum(run > 1 for run in runs) / len(runs),
        share=covered / total,
        interior=inside / max(1, total - covered),
        lengths=len(lengths),
        inputs=agree / compared if compared else None,
    )


def _run(equal: Tensor) -> Tensor:
    """(N,) length of the run of True at the end of each row."""
    return equal.flip(1).long().cumprod(1).sum(1)


instrument = Sequences
