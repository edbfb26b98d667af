"""Jobs -> runs: one file a way to run many trials, found by being here.

What an executor's module defines: a docstring that says where its trials run, and

    build(program, store_url, *, jobs, time_limit, gpus_per_trial) -> Running

`jobs` trials at the same time, None for as many as there is room for; a trial is ended after `time_limit` seconds, and
gets `gpus_per_trial` GPUs to itself, None for what the executor thinks right.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, Self

from advisor.errors import AdvisorError

if TYPE_CHECKING:
    from advisor.trial import Job, Program, Ran


class Running(Protocol):
    """An executor that holds processes: leaving its `with` ends them all. jobs: how many trials run at once."""

    jobs: int

    def run(self, jobs: Iterable[Job]) -> Iterator[Ran]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def known_executors() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")))


def check_executor(name: str) -> None:
    """Raises: AdvisorError for a name that is not there."""
    if name not in known_executors():
        raise AdvisorError(
            f"there is no executor {name!r}", context="executor", hint=f"use one of {', '.join(known_executors())}"
        )


def build(
    name: str,
    program: Program,
    store_url: str,
    *,
    jobs: int | None,
    time_limit: float | None = None,
    gpus_per_trial: float | None = None,
) -> Running:
    """The executor of that name, ready to run. Raises: AdvisorError where it cannot run here."""
    check_executor(name)
    module = importlib.import_module(f"{__name__}.{name}")
    made: Running = module.build(program, store_url, jobs=jobs, time_limit=time_limit, gpus_per_trial=gpus_per_trial)
    return made
