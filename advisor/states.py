"""Successive diagnoses of a run under way -> findings as states: raised once confirmed, cleared once they are over.

    after epoch            4           5           6        7        8
    the rule               fires       fires       fires    silent   silent
    the state              suspected   raised: 5   stands   stands   cleared: 8

One diagnosis decides nothing: a finding is raised by the second in a row that sees it, with a complete epoch between
the two, and cleared by the second that does not. What cannot be taken back, such as a NaN, is raised at once. One
finding a cause: what another finding explains is not raised, and cleared when its cause is raised. Two that contradict
each other never stand together: no diagnosis has both, and raising the one clears the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from advisor.diagnosis import Diagnosis, contradict
from advisor.finding import Finding
from advisor.rulebook import Rule


@dataclass(frozen=True, slots=True)
class State:
    """One finding from when it was first seen. Epochs are indices, as in a record: the one at whose end, or in which.

    finding: as the newest diagnosis that had it says it
    seen:    when it was seen first
    raised:  when it was said; None while it is suspected only
    missed:  whether the newest diagnosis did not see it
    cleared: when it was taken back
    cause:   what explains it, where it was cleared for that; else it is over
    """

    finding: Finding
    seen: int
    raised: int | None = None
    missed: bool = False
    cleared: int | None = None
    cause: str | None = None

    @property
    def stands(self) -> bool:
        return self.raised is not None and self.cleared is None

    @property
    def rule(self) -> str:
        return self.finding.rule


@dataclass(frozen=True, slots=True)
class History:
    """The states so far, in the order in which they were seen. epoch: the last complete one, -1 before the first."""

    states: tuple[State, ...] = ()
    epoch: int = -1

    @property
    def standing(self) -> tuple[State, ...]:
        """What is wrong now, surest first."""
        return tuple(sorted((s for s in self.states if s.stands), key=lambda s: -s.finding.confidence))

    @property
    def suspected(self) -> tuple[State, ...]:
        """What was seen once, or is explained by what was seen once."""
        return tuple(s for s in self.states if s.raised is None)

    @property
    def cleared(self) -> tuple[State, ...]:
        """What was raised and is over, or explained by what was raised later; oldest first."""
        return tuple(sorted((s for s in self.states if s.cleared is not None), key=lambda s: s.cleared or 0))

    def after(self, diagnosis: Diagnosis, epoch: int, rules: Mapping[str, Rule]) -> History:
        """The states after one more diagnosis; between two ends of epochs only what cannot be taken back is news."""
        new = epoch > self.epoch
        now = epoch if new else self.epoch + 1
        fired = {f.rule: f for f in diagnosis.findings if new or f.at_once}
        states: list[State] = []
        for state in self.states:
            if state.cleared is not None:
                states.append(state)
            elif (finding := fired.pop(state.rule, None)) is not None:
                states.append(_seen_again(state, finding, now))
            elif not new:
                states.append(state)
            elif state.raised is not None:
                states.append(replace(state, missed=True, cleared=now if state.missed else None))
        states += [State(f, now, raised=now if f.at_once else None) for f in fired.values()]
        said = {state.rule for state in self.standing}
        return History(tuple(_one_a_cause(_agreeing(states, now, rules), now, said)), max(epoch, self.epoch))

    def dated(self, diagnosis: Diagnosis) -> Diagnosis:
        """A diagnosis whose findings say when they were raised, where they were."""
        raised = {s.rule: s.raised for s in self.standing}
        findings = tuple(f.model_copy(update={"raised": raised.get(f.rule)}) for f in diagnosis.findings)
        return diagnosis.model_copy(update={"findings": findings})


def news(before: History, after: History) -> list[State]:
    """The states that were raised or cleared in between, in that order; a cleared one has `cleared`."""
    known = {(s.rule, s.seen): s for s in before.states}
    old = [(known.get((s.rule, s.seen)), s) for s in after.states]
    raised = [s for was, s in old if s.stands and not (was is not None and was.stands)]
    cleared = [s for was, s in old if s.cleared is not None and was is not None and was.stands]
    return [*raised, *cleared]


def _seen_again(state: State, finding: Finding, now: int) -> State:
    confirmed = finding.at_once or finding.explained_by is None
    raised = now if state.raised is None and confirmed else state.raised
    return replace(state, finding=finding, missed=False, raised=raised)


def _agreeing(states: Sequence[State], now: int, rules: Mapping[str, Rule]) -> list[State]:
    """Without what the newest diagnosis no longer sees while it sees the contrary."""
    seen = [s.rule for s in states if s.stands and not s.missed]
    return [
        replace(s, cleared=now)
        if s.stands and s.missed and any(contradict(s.rule, other, rules) for other in seen)
        else s
        for s in states
    ]


def _one_a_cause(states: Sequence[State], now: int, said: Collection[str]) -> list[State]:
    """Without what is explained by another that stands; what was not said before waits as suspected."""
    standing = {s.rule for s in states if s.stands}
    found = []
    for state in states:
        cause = state.finding.explained_by
        if not state.stands or cause not in standing:
            found.append(state)
        elif state.rule not in said:
            found.append(replace(state, raised=None))
        else:
            found.append(replace(state, cleared=now, cause=cause))
    return found
