"""What went wrong with an input -> one message with the next move, and the exit code of the command line."""

from __future__ import annotations

import sysconfig
import traceback
from functools import cache
from pathlib import Path
from typing import ClassVar

LONGEST_LINE = 2000  # characters; what a pipe holds on every system is 4096 bytes
OURS = (str(Path(__file__).parent), "<frozen runpy>")  # files whose frames say nothing about the user's program


class AdvisorError(Exception):
    """An input that advisor cannot use.

    what:    what was expected and what was found
    context: where: a file, a rule, a run id ("" where there is nothing to add)
    hint:    what to do next
    """

    exit_code: ClassVar[int] = 2  # the shell's convention for wrong usage

    def __init__(self, what: str, *, context: str = "", hint: str = "") -> None:
        self.what, self.context, self.hint = what, context, hint
        super().__init__(f"{context + ': ' if context else ''}{what}{'; ' + hint if hint else ''}")


class ScriptError(AdvisorError):
    """The user's own script raised, or never called `advisor.watch`."""

    exit_code = 3


class StoreError(AdvisorError):
    """The store is locked, read-only, from a newer version, or not a database; or it holds no such run."""

    exit_code = 4


class RuleError(AdvisorError):
    """A rules folder with a file that breaks the contract of a rule."""

    exit_code = 5


class PlanError(AdvisorError):
    """A plan that names an unknown remedy or gives a parameter of the wrong type."""

    exit_code = 6


class CannotApply(AdvisorError):
    """A remedy found nothing to change in this run; what it would do is shown as advice."""

    exit_code = 7


def rebuilt(kind: str, what: str, context: str, hint: str) -> AdvisorError:
    """An error that was raised in another process."""
    kinds: dict[str, type[AdvisorError]] = {known.__name__: known for known in AdvisorError.__subclasses__()}
    return kinds.get(kind, AdvisorError)(what, context=context, hint=hint)


def in_one_line(error: BaseException, more: str = "") -> str:
    """`ValueError: what it says (train.py:12)`: the line is the innermost one that the user wrote.

    more: put after what it says
    """
    line = f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST_LINE] + more
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(installed())] or list(frames)
    return f"{line} ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else line


@cache
def installed() -> tuple[str, ...]:
    """How the paths begin of files that are not the user's program: ours, Python's and those of installed packages."""
    paths = sysconfig.get_paths()
    return (*OURS, *(paths[key] for key in ("stdlib", "purelib", "platlib")))
