"""A fix session under way -> its document in the store, saved after every change so that others can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from advisor.events import Event, TrialDone, TrialStarted
from advisor.session import FixSession, Trial
from advisor.store import Store


class Ledger:
    """The session as it stands. `id` is that of the store; a session that has one already goes on."""

    def __init__(self, store: Store, session: FixSession, on_event: Callable[[Event], None] | None = None) -> None:
        self._store = store
        self._on_event = on_event
        number = session.id or store.save_session(session.model_dump_json(), session.status)
        self.session = session.model_copy(update={"id": number})
        self._save()

    @property
    def id(self) -> int:
        return self.session.id

    def tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)

    def update(self, **changes: Any) -> None:
        """Replace fields of the session."""
        self.session = self.session.model_copy(update=changes)
        self._save()

    def note(self, text: str) -> None:
        if text not in self.session.notes:
            self.update(notes=(*self.session.notes, text))

    def advise(self, text: str) -> None:
        if text not in self.session.advice:
            self.update(advice=(*self.session.advice, text))

    def next_number(self) -> int:
        """Of a trial that is about to start; the baseline is 0."""
        return max((trial.number for trial in self.session.trials), default=-1) + 1

    def start(self, trial: Trial) -> Trial:
        """Enter a trial before its first run."""
        self._put(trial)
        self.tell(TrialStarted(trial.number, trial.plan, trial.stage, trial.seeds))
        return trial

    def done(self, trial: Trial) -> Trial:
        """Enter what came of a trial in the place of what stood under its number."""
        self._put(trial)
        self.tell(TrialDone(trial))
        return trial

    def change(self, number: int, **changes: Any) -> None:
        """Replace fields of one trial."""
        for trial in self.session.trials:
            if trial.number == number:
                self._put(trial.model_copy(update=changes))

    def _put(self, trial: Trial) -> None:
        others = [known for known in self.session.trials if known.number != trial.number]
        self.update(trials=tuple(sorted([*others, trial], key=lambda t: t.number)))

    def _save(self) -> None:
        self._store.save_session(self.session.model_dump_json(), self.session.status, self.session.id)
