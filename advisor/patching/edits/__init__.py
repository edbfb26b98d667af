"""A step of a plan and the source -> the pieces of text that say the same. One file an edit, found by being here.

An edit's file bears the name of the remedy that it writes out, and defines

    edit(source, shown)     the replacements; Declined with the reason wherever it is not certain

A remedy without a file here acts at run time only, and its plan is kept.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from advisor.call_sites import CallSites, Made
from advisor.patching.declined import Declined
from advisor.patching.source import Replacement, Source
from advisor.record import Json


@dataclass(frozen=True, slots=True)
class Shown:
    """What the run under the plan has shown of one step.

    parameters: of the step, defaults filled in
    note:       what the remedy left in the record: what it changed, from what to what
    facts:      the record's
    """

    sites: CallSites
    parameters: Mapping[str, Json]
    note: Mapping[str, Json]
    facts: Mapping[str, Json]

    @property
    def optimizer(self) -> Made:
        """The one optimizer. Raises: Declined where there are more, or a line of the script makes several."""
        made = self.sites.optimizers[0] if len(self.sites.optimizers) == 1 else None
        if len(self.sites.optimizers) > 1:
            raise Declined("the run has several optimizers")
        if made is None:
            raise Declined("where the optimizer is made was not seen in the run")
        if made.objects > 1:
            raise Declined(f"line {made.site.line} makes {made.objects} optimizers")
        return made

    def number(self, name: str) -> float:
        """A number of the remedy's note."""
        value = self.note.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Declined(f"the run did not say what {name} was")
        return value

    def names(self, name: str) -> list[str]:
        """A list of names in the remedy's note."""
        value = self.note.get(name)
        return [str(item) for item in value] if isinstance(value, list) else []


class Edit(Protocol):
    """The function that a file here defines."""

    def __call__(self, source: Source, shown: Shown) -> list[Replacement]: ...


@cache
def known_edits() -> dict[str, Edit]:
    """All edits by the remedy that they write out."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}").edit for name in sorted(names)}
