"""What the user's loop raised is in its run: type, message and line, whoever started it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import torch
from torch import nn

import advisor
from advisor import ending
from advisor.record import RunInfo
from advisor.store import Store

PROGRAM = """
import torch
from torch import nn
import advisor

torch.set_num_threads(1)

def train(epochs):
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in advisor.watch(range(epochs), model, optimizer, report=False):
        nn.functional.cross_entropy(model(torch.ones(4, 2)), torch.zeros(4).long()).backward()
        optimizer.step()
        check(epoch)

def check(epoch):
    if epoch == 1:
        raise ValueError("what\\nit says")

train(3)
"""
LINE = 1 + PROGRAM[: PROGRAM.index("raise ValueError")].count("\n")


def info() -> RunInfo:
    ((found, _),) = Store().run_infos()
    return found


@pytest.mark.parametrize("how", [["train.py"], ["-m", "advisor", "run", "train.py"]], ids=["python", "advisor run"])
def test_it_is_in_the_run_with_its_line(how: list[str]) -> None:
    """The innermost line that the user wrote; the traceback is Python's own."""
    Path("train.py").write_text(PROGRAM)
    ended = subprocess.run([sys.executable, *how], capture_output=True, text=True, check=False)
    assert 1 == ended.returncode
    assert ("failed", f"ValueError: what it says (train.py:{LINE})") == (info().status, info().error)
    assert ended.stderr.count("Traceback (most recent call last):\n") == 1
    assert "ValueError: what\nit says\n" in ended.stderr
    assert "advisor/script.py" not in ended.stderr


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What comes to the hook that was there before ours."""
    seen: list[BaseException] = []

    def before(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        seen.append(error)

    monkeypatch.setattr(sys, "excepthook", before)
    monkeypatch.setattr(ending, "_left", None)
    return seen


def train(around: Callable[[Iterable[int]], Iterator[int]] = iter) -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in around(advisor.watch(range(3), model, optimizer, report=False)):
        nn.functional.cross_entropy(model(torch.ones(4, 2)), torch.zeros(4).long()).backward()
        optimizer.step()
        raise KeyError("x")


RAISED = train.__code__.co_firstlineno + 7


def bar() -> Callable[[Iterable[int]], Iterator[int]]:
    """A bar such as tqdm's, of an installed package."""
    made: dict[str, Any] = {}
    source = "def bar(items):\n    for item in items:\n        yield item\n"
    exec(compile(source, f"{sysconfig.get_path('purelib')}/bar.py", "exec"), made)
    return made["bar"]  # type: ignore[no-any-return]


def uncaught(around: Callable[[Iterable[int]], Iterator[int]] = iter) -> None:
    """What Python does with an exception that nobody caught."""
    try:
        train(around)
    except KeyError as error:
        sys.excepthook(type(error), error, error.__traceback__)


def test_the_place_remains_where_somebody_catches_it(hook: list[BaseException]) -> None:
    """A notebook, or the loop's own caller: what it was nobody tells us."""
    with suppress(KeyError):
        train()
    assert ("failed", f"left by an exception (test_left_by_an_exception.py:{RAISED})") == (info().status, info().error)
    assert [] == hook


@pytest.mark.parametrize("around", [iter, bar()], ids=["alone", "through a bar"])
def test_the_hook_that_was_there_is_called(
    hook: list[BaseException], around: Callable[[Iterable[int]], Iterator[int]]
) -> None:
    """With the exception as it is; of another exception nothing is noted."""
    uncaught(around)
    error = f"KeyError: 'x' (test_left_by_an_exception.py:{RAISED})"
    assert error == info().error
    other = OSError("later")
    sys.excepthook(OSError, other, None)
    assert error == info().error
    assert [KeyError, OSError] == [type(found) for found in hook]


def test_a_loop_that_was_left_on_purpose_has_no_error() -> None:
    """`break` is no failure."""
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    for _ in advisor.watch(range(3), model, torch.optim.SGD(model.parameters()), report=False):
        break
    assert ("stopped", None) == (info().status, info().error)


def test_a_store_that_is_gone_hides_nothing(hook: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with us, the user sees their exception."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    try:
        train()
    except KeyError as error:
        assert ending._left is not None
        monkeypatch.setattr(ending._left[0], "flush", fail)
        sys.excepthook(KeyError, error, error.__traceback__)
    assert [KeyError] == [type(error) for error in hook]
