"""Call a tool at the places that its documentation names, inside a training loop that belongs to the program.

Tools are documented as lines between the lines of the user's loop: after the loss, before `optimizer.step()`, after
it. The loops of the bench are functions of the programs, so the lines are called from where they would stand: from the
loss function (replaced in `program` by one that calls through) and from the optimizer's own step hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Batch:
    """The last training batch: what went into the model, what came out, the targets and the loss."""

    inputs: torch.Tensor
    outputs: torch.Tensor
    targets: torch.Tensor
    loss: torch.Tensor


class Steps:
    """Follows a program's training steps. Forward passes without gradients are validation and are passed over."""

    def __init__(
        self,
        program: dict[str, Any],
        *,
        after_loss: Callable[[Batch, int], None] | None = None,
        before_step: Callable[[Batch, int], None] | None = None,
        after_step: Callable[[Batch, int], None] | None = None,
    ) -> None:
        self.number = 0
        self.batch: Batch | None = None
        self.inputs: Any = None
        self.busy = False  # the tool itself is calling the model
        self.loss_fn = program["loss_fn"]
        self.after_loss = after_loss
        program["loss_fn"] = self.loss
        program["model"].register_forward_pre_hook(self.entered)
        optimizer = program["optimizer"]
        optimizer.register_step_pre_hook(lambda *_: self.tell(before_step))
        optimizer.register_step_post_hook(lambda *_: self.stepped(after_step))

    def entered(self, model: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled() and not self.busy:
            self.inputs = arguments[0]

    def loss(self, outputs: Any, targets: Any) -> Any:
        loss = self.loss_fn(outputs, targets)
        if torch.is_grad_enabled() and not self.busy:
            self.batch = Batch(self.inputs, outputs, targets, loss)
            self.tell(self.after_loss)
        return loss

    def stepped(self, callback: Callable[[Batch, int], None] | None) -> None:
        self.tell(callback)
        self.number += 1

    def tell(self, callback: Callable[[Batch, int], None] | None) -> None:
        if callback is None or self.batch is None:
            return
        self.busy = True
        try:
            with torch.enable_grad():
                callback(self.batch, self.number)
        finally:
            self.busy = False
