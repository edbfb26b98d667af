"""How a loop was left, on every way that people leave one: instructions differ between versions of Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent, indent

import pytest

from advisor.ending import how_left
from advisor.store import Store

ON_PURPOSE = (
    "if i: break",
    "return",
    "return [i, 1]",
    "return str(i)",
    "with nullcontext(): break",
    "with nullcontext(): return i",
    "try: break\nfinally: str(i)",
    "try: 1 / 0\nexcept ZeroDivisionError: break",
    "for j in range(3): return j",
)
BY_AN_EXCEPTION = (
    "raise ValueError",
    "int('x')",
    "1 / 0",
    "[][1]",
    "[][1] = i",
    "object().name = i",
    "del [][1]",
    "a, b = (1,)",
    "missing",
    "if Ambiguous(): pass",
    "while Ambiguous(): pass",
    "assert not Ambiguous()",
    "import nowhere",
    "with nullcontext(): int('x')",
    "try: int('x')\nfinally: str(i)",
    "try: int('x')\nexcept ValueError as error: raise",
    "try: int('x')\nexcept ValueError as error: raise RuntimeError from error",
    "for j in range(3): int('x')",
)
AROUND = ("loop()", "enumerate(loop())", "zip(range(9), loop())", "passed_on(loop())")


class Ambiguous:
    """As a tensor with several values."""

    def __bool__(self) -> bool:
        raise RuntimeError("ambiguous")


def left(body: str, around: str = "loop()") -> list[str]:
    """How the loop with this body was left, as it saw it itself."""
    seen: list[str] = []

    def loop() -> Iterator[int]:
        try:
            yield from range(5)
        except GeneratorExit:
            seen.append(how_left(sys._getframe(1)))
            raise

    def passed_on(inner: Iterator[int]) -> Iterator[int]:
        try:
            for item in inner:  # noqa: UP028  as tqdm does it
                yield item
        finally:
            str(inner)

    names = {"loop": loop, "passed_on": passed_on, "nullcontext": nullcontext, "Ambiguous": Ambiguous}
    program = f"def train():\n    for i in {around}:\n{indent(dedent(body), ' ' * 8)}\n"
    exec(compile(program, "train.py", "exec"), names)
    with suppress(ValueError, ZeroDivisionError, IndexError, AttributeError, NameError, RuntimeError, ImportError):
        names["train"]()
    return seen


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("body", ON_PURPOSE)
def test_a_loop_that_is_left_on_purpose(body: str, around: str) -> None:
    """`break` and `return`, from within other statements, also through enumerate, zip and a bar such as tqdm's."""
    assert left(body, around) == ["stopped"]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("body", BY_AN_EXCEPTION)
def test_a_loop_that_is_left_by_an_exception(body: str, around: str) -> None:
    """Whatever raises: a call, an operator, a store into a container, a condition."""
    assert left(body, around) == ["failed"]


def test_an_iterator_that_is_let_go() -> None:
    """A loop that was begun by hand and dropped was left on purpose."""
    assert left("pass", "[loop]") == []  # the loop was never begun
    body = "it = iter(i())\nnext(it)\n{}"
    assert left(body.format("del it"), "[loop]") == ["stopped"]
    assert left(body.format("it = None"), "[loop]") == ["stopped"]


def test_an_iterator_that_is_held_at_exit() -> None:
    """A loop that is advanced by `next` and kept in a global is completed before the interpreter is cleared."""
    program = (
        "import itertools, torch, advisor\n"
        "model = torch.nn.Linear(2, 1); optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "steps = iter(advisor.watch(itertools.count(), model, optimizer))\n"
        "while next(steps) < 3:\n"
        "    torch.nn.functional.mse_loss(model(torch.ones(4, 2)), torch.ones(4, 1)).backward()\n"
        "    optimizer.step()\n"
    )
    with TemporaryDirectory() as folder:
        store = Path(folder) / "advisor.db"
        environment = {**os.environ, "ADVISOR_STORE": str(store)}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
        )
        info = Store(str(store)).record(1).info
    assert (0, "") == (done.returncode, done.stderr)
    assert "stopped" == info.status
