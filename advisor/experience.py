"""Past sessions of a store -> which remedies have helped against which finding, so that those are tried first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from advisor.plan import Plan
from advisor.session import FixSession, Trial

MOST_SESSIONS = 200  # the newest: what helped then need not help now, and reading them takes time
WEIGHT = 2.0  # what a rule's own order counts for, in tries: one failure elsewhere does not overthrow it
FIRST, NEXT = 0.6, 0.9  # prior of a rule's first remedy to help, and the factor to each next one: a choice


@dataclass(frozen=True, slots=True)
class Experience:
    """tries: (rule, remedy) -> what came of each session that tried it: 1 helped, 0 did not, between: looked good."""

    tries: Mapping[tuple[str, str], Sequence[float]] = field(default_factory=dict)

    def order(self, rule: str, remedies: Sequence[str]) -> list[str]:
        """A finding's remedies, the most promising first: the rule's own order, moved by what happened."""

        def chance(place: int) -> float:
            seen = self.tries.get((rule, remedies[place]), ())
            return (WEIGHT * FIRST * NEXT**place + sum(seen)) / (WEIGHT + len(seen))

        return [remedies[place] for place in sorted(range(len(remedies)), key=lambda place: -chance(place))]


def experience(documents: Iterable[str]) -> Experience:
    """documents: of sessions, as the store has them; one that cannot be read is passed over."""
    tries: dict[tuple[str, str], list[float]] = defaultdict(list)
    for text in list(documents)[-MOST_SESSIONS:]:
        try:
            session = FixSession.model_validate_json(text)
        except ValidationError:  # written by another version
            continue
        top = session.diagnosis.top if session.diagnosis is not None else None
        if top is None:
            continue
        best: dict[str, float] = {}
        for trial in session.trials:
            worth = _worth(trial)
            if worth is not None:
                name = trial.plan.steps[0].remedy
                best[name] = max(worth, best.get(name, 0.0))
        for name, worth in best.items():
            tries[top.rule, name].append(worth)
    return Experience(dict(tries))


def _worth(trial: Trial) -> float | None:
    """What a trial of one remedy on the unchanged program says for it; None where it is none, or is unfinished."""
    if trial.against != Plan() or len(trial.plan.steps) != 1 or trial.verdict is None:
        return None
    if trial.verdict.kind in ("failed", "no_effect"):
        return 0.0
    if trial.stage == "confirm":
        return 1.0 if trial.verdict.kind == "helped" else 0.0
    if trial.stage == "screen":
        return 0.5 if trial.verdict.kind == "inconclusive" else 0.0
    return None
