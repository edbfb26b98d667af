"""The training that we watch is sacred: weights, optimizer state, random state and modes are equal bit for bit."""

from __future__ import annotations

import copy
import io
import pickle
import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from training_loops import LOOPS, Loop, mlp

import advisor


def unwatched(iterable: Iterable[int], *_: Any, **__: Any) -> Iterable[int]:
    return iterable


def outcome(loop: Loop, watch: Callable[..., Iterable[int]]) -> dict[str, Any]:
    """Everything that training leaves behind."""
    torch._dynamo.reset()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    model = loop(watch)
    gradients = [p.grad for p in model.parameters()]
    return {
        "weights": {k: v.clone() for k, v in model.state_dict().items()},
        "gradients": [g if g is None else g.clone() for g in gradients],
        "modes": [m.training for m in model.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1],
        "random": random.getstate(),
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
    }


@pytest.mark.filterwarnings("ignore:.*is used in multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("name", LOOPS)
def test_watching_changes_no_bit(name: str) -> None:
    """Weights, gradients, modes, hooks and all generators are equal with and without `watch`."""
    watched = outcome(LOOPS[name], lambda *a, **k: advisor.watch(*a, **k, report=False))
    bare = outcome(LOOPS[name], unwatched)
    for key, value in bare["weights"].items():
        assert torch.equal(watched["weights"][key], value), key
    for one, other in zip(watched["gradients"], bare["gradients"], strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    assert torch.equal(watched["torch"], bare["torch"])
    assert np.array_equal(watched["numpy"], bare["numpy"])
    assert watched["random"] == bare["random"]
    assert watched["modes"] == bare["modes"]
    assert watched["hooks"] == bare["hooks"] == 0


@pytest.mark.parametrize("name", [n for n in LOOPS if n not in ("ResNet-18",)])
def test_nothing_inside_advisor_raised(name: str) -> None:
    """No instrument was detached on any of these loops, and the training loss was seen on all of them."""
    seen: list[advisor.watching.Watch[int]] = []  # type: ignore[name-defined]

    def watch(*args: Any, **kwargs: Any) -> Iterable[int]:
        seen.append(advisor.watch(*args, **kwargs, report=False))
        return seen[0]

    outcome(LOOPS[name], watch)
    assert seen[0].record.problems == ()
    assert "train_loss" in seen[0].record.series


def test_torch_is_as_it_was_after_the_loop() -> None:
    """The functions that were wrapped are the original ones again, also after an exception."""
    before = functional.cross_entropy.__code__, torch.Tensor.backward, DataLoader.__iter__
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def failing() -> None:
        for _ in advisor.watch(range(3), model, optimizer, report=False):
            assert functional.cross_entropy.__code__ is not before[0]
            raise ZeroDivisionError("the user's own")

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        failing()
    assert (functional.cross_entropy.__code__, torch.Tensor.backward, DataLoader.__iter__) == before


def test_a_watched_model_can_be_copied_and_pickled() -> None:
    """Our hook becomes inert in a copy: an EMA copy or a checkpoint of the whole model drags no record along."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in advisor.watch(range(1), model, optimizer, report=False):
        copied = copy.deepcopy(model)
        loaded = pickle.loads(pickle.dumps(model))  # noqa: S301  our own bytes
        copy.deepcopy(optimizer)
        torch.save(model, io.BytesIO())
    x = torch.ones(2, 12)
    for other in (copied, loaded):
        assert torch.equal(other.eval()(x), model.eval()(x))
