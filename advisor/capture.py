"""The loop's own forward calls -> a fixed part of the training data, and eval-mode passes over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from advisor.bridging import Again
from advisor.fence import eager, untouched
from advisor.instruments import LiveLayer
from advisor.losses import LossCall, mean_of
from advisor.probes import Batch

MOST_BATCHES = 32  # spread over the first epoch, so that sorted data is not seen from one end only
MOST_SAMPLES = 512  # standard error of an accuracy below 0.023
MOST_BYTES = 64 * 2**20  # of inputs kept on the device


@dataclass
class Capture:
    """Batches of the first epoch as the model got them, thinned to `MOST_BATCHES` that are evenly spread.

    autocast: device type and dtype that the loop's forward ran under, None where it ran under none
    """

    batches: list[Batch] = field(default_factory=list)
    autocast: tuple[str, torch.dtype] | None = None
    _offered: int = 0
    _stride: int = 1
    _at: list[int] = field(default_factory=list)

    def offer(self, args: tuple[Any, ...], kwargs: dict[str, Any], target: Tensor | None) -> bool:
        """Keep a copy of a batch that was wanted; whether the next one is wanted too."""
        size = sum(t.numel() * t.element_size() for t in _tensors((args, kwargs)))
        if size <= MOST_BYTES // MOST_BATCHES or not self.batches:
            self.batches.append(Batch(_copied(args), _copied(kwargs), None if target is None else target.clone()))
            self._at.append(self._offered)
        while len(self.batches) > MOST_BATCHES:
            self._stride *= 2
            kept = [i for i, at in enumerate(self._at) if at % self._stride == 0]
            self.batches = [self.batches[i] for i in kept]
            self._at = [self._at[i] for i in kept]
        return self.skip()

    def skip(self) -> bool:
        """Let a batch pass; whether the next one is wanted."""
        self._offered += 1
        return self._offered % self._stride == 0

    def fix(self) -> None:
        """Keep about `MOST_SAMPLES`, evenly spread: called once, at the end of the first epoch."""
        samples = sum(batch.size for batch in self.batches)
        wanted = max(1, round(len(self.batches) * min(1.0, MOST_SAMPLES / max(1, samples))))
        spread = [i * len(self.batches) // wanted for i in range(wanted)] if self.batches else []
        by_thirds = sorted(range(len(spread)), key=lambda i: i % 3)  # so that a part from the front is spread as well
        self.batches = [self.batches[spread[i]] for i in by_thirds]


def clean_pass(
    model: nn.Module,
    layers: Sequence[LiveLayer],
    capture: Capture,
    again: Again,
    name: str,
    seconds: float = float("inf"),
) -> tuple[list[LossCall], list[list[tuple[int, Tensor]]]]:
    """Evaluate the fixed part in eval mode: the losses, and what entered each layer, in order of execution.

    The user's model is as it was afterwards, to the last buffer, and so is the random state. What does not fit into
    `seconds` is left out of this pass and of all later ones.
    """
    began = thread_time()
    calls: list[LossCall] = []
    entered: list[list[tuple[int, Tensor]]] = []
    with untouched(model), eager():
        model.eval()
        for batch in capture.batches:
            seen: list[tuple[int, Tensor]] = []
            with listening(layers, seen), autocast_like(capture.autocast):
                output = model(*batch.args, **batch.kwargs)
                call = evaluated(output, batch.target, again, name)
            if call is not None:
                calls.append(call)
            entered.append(seen)
            if thread_time() - began > seconds:
                break
    capture.batches = capture.batches[: len(entered)]
    return calls, entered


def evaluated(output: Any, target: Tensor | None, again: Again, name: str) -> LossCall | None:
    """The user's loss of one of our own forward passes; None where it cannot be computed from what is known.

    target: as the loss gets it
    """
    own = own_loss(output)
    taken = again.bridge.take(output)
    known = target is not None and taken is not None and not again.lost
    logits = None if taken is None else again.output(taken.detach()) if known else taken.detach()
    if own is not None:
        return LossCall(name, own.detach(), logits, target, again.function)
    if target is None or logits is None or not known:
        return None
    value = again.function(logits, target)
    if not isinstance(value, Tensor):
        return None
    return LossCall(name, mean_of(value, target, logits, again.reduction), logits, target, again.function)


def own_loss(output: Any) -> Tensor | None:
    """The loss that a model returned itself: `.loss`, `["loss"]`, or a scalar tensor in a tuple."""
    found = getattr(output, "loss", None)
    if found is None and isinstance(output, dict):
        found = output.get("loss")
    if found is None and isinstance(output, tuple | list):
        found = next((v for v in output if isinstance(v, Tensor) and v.dim() == 0), None)
    return found if isinstance(found, Tensor) and found.dim() == 0 and found.is_floating_point() else None


@contextmanager
def listening(layers: Sequence[LiveLayer], seen: list[tuple[int, Tensor]]) -> Iterator[None]:
    """Forward pre-hooks on the layers, for one pass of our own."""

    def hook(index: int) -> Callable[[nn.Module, Any], None]:
        def note(_: nn.Module, args: Any) -> None:
            if args and isinstance(args[0], Tensor) and args[0].is_floating_point() and args[0].dim() > 1:
                seen.append((index, args[0]))

        return note

    with ExitStack() as stack:
        for index, layer in enumerate(layers):
            stack.callback(layer.module.register_forward_pre_hook(hook(index)).remove)
        yield


@contextmanager
def autocast_like(setting: tuple[str, torch.dtype] | None) -> Iterator[None]:
    if setting is None:
        yield
    else:
        with torch.autocast(*setting):
            yield


def current_autocast(device_type: str) -> tuple[str, torch.dtype] | None:
    """Device type and dtype of the autocast region that is open now."""
    if torch.is_autocast_enabled(device_type):
        return device_type, torch.get_autocast_dtype(device_type)
    return None


def _tensors(tree: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda leaf: found.append(leaf) if isinstance(leaf, Tensor) else None, tree)
    return found


def _copied(tree: Any) -> Any:
    return tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, tree)
