"""A fault: the rule that names it, what is right too, where it fits, and how it spoils a program.

A finding is counted as right where it is the fault's rule or one of `also`: consequences that a careful engineer would
call true of such a run as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from program import Program, changed, prepared
from torch import Tensor, nn

SLOW = ("slow_convergence", "too_few_epochs", "learning_rate_too_low", "underfitting")
WILD = ("oscillating_loss", "unstable_loss", "exploding_gradients", "dead_units", "non_finite_loss", "saturated_units")
ANY = ("table", "image", "sequence", "tokens")
LAYERED = ("table", "image")  # networks that are a Sequential


@dataclass(frozen=True)
class Fault:
    """kinds, tasks: of data that it fits; networks: to which alone it applies; certain: wrong whatever the score is."""

    rule: str
    spoil: Callable[[Program], None]
    also: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ANY
    tasks: tuple[str, ...] = ("multiclass", "binary", "regression", "tokens")
    networks: tuple[str, ...] = ()
    certain: bool = False


def settings(**values: Any) -> Callable[[Program], None]:
    return lambda p: changed(p, **values)


def network(change: Callable[[nn.Module], nn.Module | None]) -> Callable[[Program], None]:
    """A change of the network, in place or to another one."""
    return lambda p: p.set_up.append(lambda n: change(n) or n)


def both(one: Callable[[Program], None], other: Callable[[Program], None]) -> Callable[[Program], None]:
    def spoil(p: Program) -> None:
        one(p)
        other(p)

    return spoil


def rate(factor: float, **more: Any) -> Callable[[Program], None]:
    return lambda p: changed(p, lr=p.rate * factor, **more)


def inputs(change: Callable[[Tensor], Tensor]) -> Callable[[Program], None]:
    """Another preparation of all inputs."""
    return lambda p: prepared(p, x=change)


def targets(change: Callable[[Tensor], Tensor]) -> Callable[[Program], None]:
    return lambda p: prepared(p, y=change)
