"""Questions that take whole trainings of the unchanged program -> facts. One file an experiment, found by being here.

What an experiment defines: a docstring that says what it asks and what it costs, a line that says when it is made,
`asked_by: AskedBy = "rule"`, and `run(lab, seeds) -> dict | None`, whose result becomes the fact `probe.<name>`, as
that of a probe does; None where it cannot be made.

rule:    a finding has its name among its `probes`
nobody:  always, since it costs no training of its own
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Sequence
from functools import cache
from typing import Literal

from advisor.laboratory import Laboratory
from advisor.record import Json

AskedBy = Literal["rule", "nobody"]


@cache
def known_experiments() -> tuple[str, ...]:
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__)))


def run_experiments(lab: Laboratory, asked: Collection[str], seeds: Sequence[int]) -> dict[str, dict[str, Json]]:
    """The facts of those that are asked for and can be made. seeds: on which the baseline is measured"""
    facts: dict[str, dict[str, Json]] = {}
    for name in known_experiments():
        module = importlib.import_module(f"{__name__}.{name}")
        fact = module.run(lab, seeds) if module.asked_by == "nobody" or name in asked else None
        if fact is not None:
            facts[f"probe.{name}"] = fact
    return facts
