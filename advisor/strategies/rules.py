"""The diagnosis chooses: remedies of the leading cause first, one choice of each, then further choices of what helped.

A promising change whose own run is not healthy is followed up before it is confirmed: the first remedy for what is left
is added to it, so that a run with several faults is repaired as a whole.

A finding's remedies come in the order of its rule, moved by what helped in earlier sessions. Where something is kept
already, remedies that the first diagnosis asked for follow those of the present one. What is left of the budget goes
to the search of `tpe` over all remedies, but only where the leading cause had a remedy: where it has none (data that
lack, a leak between the splits) turning other knobs would hide it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.strategies import Screened, Setting, Strategy, adds, choices, fits, resulting, tpe

MOST_FOLLOWED = 2  # ways to go on from one change: its leading causes; more would be a search of their own
LONGEST = 3  # remedies in one change: what is added on one seed alone is confirmed as a whole


def build(setting: Setting) -> Strategy:
    return Rules(setting)


class Rules:
    """Leftovers, then rounds over the remedies, then the search."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        spent = setting.spent
        self._leftovers = [change for change in setting.leftovers if adds(setting.kept, change) and change not in spent]
        self._waiting = _candidates(setting)  # remedy -> its choices, in the order of the findings
        self._rounds = dict.fromkeys(self._waiting, 0)
        top = setting.diagnosis.top
        answered = top is not None and any(r in self._waiting for r in top.remedies)
        self._may_search = not setting.repair and (setting.force or bool(setting.kept) or answered)
        self._asked: set[frozenset[str]] = set()  # as the plans that they come to: a leftover may be a candidate too
        self._followed: dict[str, list[Plan]] = {}
        self._search: Strategy | None = None

    def follow_up(self, screened: Sequence[Screened]) -> Plan | None:
        """The best change so far with one more remedy, where its run shows what is still wrong.

        Where nothing looks promising yet, the leading finding's own remedy is such a change if its fault is gone by it.
        """
        hopeful = [s for s in screened if s.promising] or [s for s in screened if s.cured]
        best = max(hopeful, key=lambda s: s.gain, default=None)
        if best is None or best.diagnosis is None or best.evidence is None or self._setting.repair:
            return None
        followed = self._followed.setdefault(str(best.change), [])
        if len(best.change.steps) >= LONGEST or len(followed) >= MOST_FOLLOWED:
            return None
        beneath = self._setting.kept.changed_by(best.change)
        after = dataclasses.replace(
            self._setting, kept=beneath, diagnosis=best.diagnosis, evidence=best.evidence, first=None
        )
        leading = _first_remedy(best.diagnosis)
        useless = [s.change for s in screened if s.gain <= 0 and s.change.steps[0].remedy != leading]
        for more in (plans[0] for plans in _candidates(after).values()):
            change = best.change.changed_by(more)
            if more not in useless and adds(best.change, more) and self._is_new(change):
                followed.append(change)
                return change
        return None

    def ask(self, screened: Sequence[Screened]) -> Plan | None:
        while (change := self._next(screened)) is not None:
            if self._is_new(change):
                return change
        return None

    def _is_new(self, change: Plan) -> bool:
        """Whether no change that comes to the same plan was proposed in this stage; from now on one was."""
        plan = resulting(self._setting.kept, change)
        new = plan not in self._asked
        self._asked.add(plan)
        return new

    def _next(self, screened: Sequence[Screened]) -> Plan | None:
        if self._leftovers:
            return self._leftovers.pop(0)
        gains: dict[str, float] = {}
        for s in screened:
            name = s.change.steps[0].remedy
            gains[name] = max(s.gain, gains.get(name, s.gain))
        order = list(self._waiting)
        ready = [remedy for remedy in order if self._waiting[remedy]]
        if ready:
            # first choices in the findings' order; then those that helped, the best first; then the rest
            def rank(remedy: str) -> tuple[int, float, int]:
                tried, gain = self._rounds[remedy], gains.get(remedy, 0.0)
                return (0 if not tried else 1 if gain > 0 else 2, -max(gain, 0.0) if tried else 0.0, tried)

            remedy = min(ready, key=lambda name: (*rank(name), order.index(name)))
            self._rounds[remedy] += 1
            return self._waiting[remedy].pop(0)
        if not self._may_search:
            return None
        if self._search is None:
            self._search = tpe.build(self._setting)
        return self._search.ask(screened)


def _candidates(setting: Setting) -> dict[str, list[Plan]]:
    """By remedy; what is kept already, and could only get other parameters, after what would be new."""
    known, leading = load_remedies(), _first_remedy(setting.diagnosis)
    found: dict[str, list[Plan]] = {}
    for diagnosis in (setting.diagnosis, *([setting.first] if setting.first is not None else [])):
        for finding in diagnosis.findings[: 1 if setting.repair else None]:
            for name in setting.experience.order(finding.rule, finding.remedies):
                if name in known and name not in found:
                    plans = choices(known[name], diagnosis, setting.evidence)
                    spent = () if name == leading else setting.spent
                    fitting = [plan for plan in plans if fits(setting.kept, plan) and plan not in spent]
                    if fitting:  # one that is too dear is named where there is no other
                        allowed = [plan for plan in fitting if setting.affordable(setting.kept.changed_by(plan))]
                        found[name] = allowed or fitting[:1]
    kept = {step.remedy for step in setting.kept.steps}
    return {name: found[name] for name in sorted(found, key=lambda name: name in kept)}


def _first_remedy(diagnosis: Diagnosis) -> str | None:
    """What the leading finding asks for first: it may have hurt before another fault was out of the way."""
    top = diagnosis.top
    return top.remedies[0] if top is not None and top.remedies else None
