"""Which loader runs now, and whether it trains or validates: given by the user, or learnt from what the loop does."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

Role = Literal["train", "val", "other"]  # other: a second evaluation, such as a test set, or the training data again


class Roles:
    """loader, batch: what runs now, None outside of a loader; role: of that loader, None while it is not known.

    used: the optimizer has stepped since that batch was given
    """

    def __init__(self, model: nn.Module, train: DataLoader[Any] | None, val: DataLoader[Any] | None) -> None:
        self.loader: DataLoader[Any] | None = None
        self.batch: Any = None
        self.role: Role | None = None
        self.used = False
        self._model = model
        self._val_given = val is not None
        self._shared = train is val and val is not None  # one loader for both: only the grad mode tells
        self._known: dict[int, Role] = {}
        if train is not None and not self._shared:
            self._known[id(train)] = "train"
        if val is not None and not self._shared:
            self._known[id(val)] = "val"

    def begins(self, loader: DataLoader[Any]) -> bool:
        """A batch of this loader was asked for; whether it trains, as far as can be told."""
        self.loader, self.role, self.used = loader, self._known.get(id(loader)), False
        return self.role == "train" or (self.role is None and torch.is_grad_enabled() and self._model.training)

    def ends(self) -> None:
        self.loader = self.batch = self.role = None

    def trains(self) -> bool:
        """A backward pass ran: the loader trains. Whether that is news."""
        if self.loader is None or self._shared or id(self.loader) in self._known:
            return False
        self._known[id(self.loader)] = self.role = "train"
        return True

    def validates(self) -> bool:
        """A loss was computed in validation; False where this is not the validation that is compared."""
        if self.loader is not None and not self._shared and id(self.loader) not in self._known:
            second = "val" in self._known.values()
            self._known[id(self.loader)] = self.role = "other" if second else "val"
        return self.role in (None, "val") or (self.role == "train" and self.used)

    def validating(self, *, begun: bool) -> bool:
        """Whether what runs now is validation; `begun`: a step was made before."""
        left = self.role == "train" and self.used and not self._model.training  # a loader that was cut short
        if self.role is not None and not (left and not torch.is_grad_enabled()):
            return self.role == "val"
        if left:
            return not self._val_given
        if not torch.is_grad_enabled():
            return self.loader is None or self._shared or not self._val_given
        return self.loader is not None and not self._model.training and begun

    def second(self, batch: Any = None) -> Tensor | None:
        """The second element of a batch, where most data sets keep the target."""
        batch = self.batch if batch is None else batch
        target = batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None
        return target if isinstance(target, Tensor) and target.dim() > 0 else None

    def target_for(self, output: Tensor | None, batch: Any = None) -> Tensor | None:
        """The second element of a batch where it can be the target of an output."""
        target = self.second(batch)
        fits = output is not None and target is not None and output.shape[:1] == target.shape[:1]
        return target if fits else None


def samples_in(batch: Any) -> int:
    """The first dimension of a batch's first tensor; 0 where there is none."""
    first = batch
    while isinstance(first, tuple | list | dict) and first:
        first = next(iter(first.values())) if isinstance(first, dict) else first[0]
    return int(first.shape[0]) if isinstance(first, Tensor) and first.dim() else 0
