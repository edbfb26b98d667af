"""What went wrong with an input -> one message with the next move, and the exit code of the command line."""

from __future__ import annotations

from typing import ClassVar


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
