"""What becomes of gradients between two steps, on sampled steps: left over, or cut before the optimizer gets them.

    leftover_gradient   the least gradient at the beginning of a backward pass since the last step, over that at the end
                        of the newest: 0 where somebody cleared it, about 1 where nobody does
    kept_gradient       gradient at the step over that after the last backward pass: 1 where nobody touches it, 0 where
                        it was cleared, below 1 where it was clipped; of several optimizers the least

Each is a ratio of norms over the parameters of the optimizers that step, told apart by optimizer, since one may clear
its own later than another one's backward pass. What is left over is that of all together: an optimizer may gather
gradients over several steps of the others. A few parameters are read, and of each the first `PART` elements: what
clears or clips gradients does so with all of them. A loss that `GradScaler` has multiplied has gradients that are
larger by a power of two until the step; that factor is taken out. Where a step runs backward passes itself (LBFGS),
nothing can happen in between.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from advisor.instruments import Live

PART = 2**12  # elements of a parameter
READ = 8  # parameters of an optimizer, evenly spread over it


class GradientOrder:
    """Norms by optimizer since its last step."""

    def __init__(self) -> None:
        self._before: dict[int, Tensor] = {}  # the least at the beginning of a backward pass
        self._after: dict[int, Tensor] = {}  # at the end of the last one
        self._step: dict[int, Tensor] = {}
        self._scale: Tensor | None = None  # of the loss
        self._done: list[tuple[Tensor, Tensor, Tensor | None]] = []  # (before, after, at the step) of a round

    def before_backward(self, live: Live, root: Tensor) -> None:
        self._scale = _scale_of(root)
        for optimizer in live.optimizers:
            norm, key = _norm(optimizer, live.device), id(optimizer)
            self._before[key] = torch.minimum(self._before[key], norm) if key in self._before else norm

    def after_backward(self, live: Live, _: Tensor) -> None:
        for optimizer in live.optimizers:
            self._after[id(optimizer)] = _norm(optimizer, live.device)

    def before_step(self, live: Live, optimizer: Optimizer) -> None:
        if id(optimizer) in self._after:
            norm = _norm(optimizer, live.device)
            self._step[id(optimizer)] = norm if self._scale is None else norm * self._scale

    def after_step(self, _: Live, optimizer: Optimizer) -> None:
        key = id(optimizer)
        before, after, step = (kept.pop(key, None) for kept in (self._before, self._after, self._step))
        if before is not None and after is not None:
            self._done.append((before, after, step))

    def step_end(self, live: Live) -> None:
        done, self._done = self._done, []
        for kept in (self._before, self._after, self._step):
            kept.clear()
        if done:
            live.emit("leftover_gradient", "step", _ratio([(before, after) for before, after, _ in done]))
        stepped = [(step, after) for _, after, step in done if step is not None]
        if stepped:
            live.emit("kept_gradient", "step", _least([_ratio([pair]) for pair in stepped]))


def _norm(optimizer: Optimizer, device: torch.device) -> Tensor:
    """Norm over the first elements of some of an optimizer's gradients; 0 where there are none."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    spread = parameters[:: -(-len(parameters) // READ) or 1]
    parts = [_part(p.grad) for p in spread if p.grad is not None and p.device == device]
    if not parts:
        return torch.zeros((), device=device)
    norms = torch._foreach_norm(parts)
    return _together(norms if all(norm.dtype is torch.float32 for norm in norms) else [norm.float() for norm in norms])


def _part(grad: Tensor) -> Tensor:
    dense = (grad._values() if grad.is_sparse else grad).detach()
    return dense.view(-1)[:PART] if dense.is_contiguous() else dense


def _ratio(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """() of the pair's norms, all optimizers together; NaN where there was no gradient at all, or an infinite one."""
    upper, lower = zip(*pairs, strict=True)
    whole = _together(lower)
    return torch.where(torch.isfinite(whole), _together(upper) / whole, torch.nan)


def _least(ratios: Sequence[Tensor]) -> Tensor:
    """() of those that are numbers; NaN where none is."""
    least = torch.stack(list(ratios)).nan_to_num(torch.inf).amin()
    return torch.where(torch.isfinite(least), least, torch.nan)


def _together(norms: Sequence[Tensor]) -> Tensor:
    """() the norm of what has these norms, part by part."""
    together: Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    return together


def _scale_of(root: Tensor) -> Tensor | None:
    """What `GradScaler.scale` multiplied the loss with: a power of two above 1; else 1. Not after the backward pass."""
    if root.grad_fn is None or root.grad_fn.name() != "MulBackward0":
        return None
    factor = getattr(root.grad_fn, "_saved_other", None)
    if not isinstance(factor, Tensor) or factor.dim() or factor.requires_grad or not factor.is_floating_point():
        return None
    mantissa, _ = torch.frexp(factor.detach().float())
    return torch.where((mantissa == 1 / 2) & (factor > 1), factor.float(), 1.0)


instrument = GradientOrder
