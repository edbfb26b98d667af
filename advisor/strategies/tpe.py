"""Optuna's tree-structured Parzen estimator chooses a remedy and one of its candidates, blind to the diagnosis.

Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from advisor.plan import Plan
from advisor.strategies import Screened, Setting, Strategy, whole_pool

RANDOM_FIRST = 4  # of Optuna's default 10: a budget of 20 trainings screens about ten plans
MOST_REPEATS = 50  # proposals of what was tried already before the pool is taken in order


def build(setting: Setting) -> Strategy:
    return Tpe(setting)


class Tpe:
    """A study whose first parameter is the remedy, and whose second is the number of the candidate."""

    def __init__(self, setting: Setting) -> None:
        self._untried = whole_pool(setting)
        self._history = setting.history
        self._by_remedy: dict[str, list[Plan]] = {}
        for change in self._untried:
            self._by_remedy.setdefault(change.steps[0].remedy, []).append(change)
        self._told = 0
        self._study: Any = None

    def follow_up(self, screened: Sequence[Screened]) -> Plan | None:  # noqa: ARG002  it tries one thing at a time
        return None

    def ask(self, screened: Sequence[Screened]) -> Plan | None:
        tried = [s.change for s in screened]
        self._untried = [change for change in self._untried if change not in tried]
        if not self._untried:
            return None
        self._tell([*self._history, *screened])
        for _ in range(MOST_REPEATS):
            trial = self._study.ask()
            remedy = trial.suggest_categorical("remedy", list(self._by_remedy))
            among = self._by_remedy[remedy]
            change: Plan = among[trial.suggest_int(remedy, 0, len(among) - 1)]
            if change in self._untried:
                self._untried.remove(change)
                return change
        return self._untried.pop(0)

    def _tell(self, screened: Sequence[Screened]) -> None:
        """Enter what came of trials, also of those that another strategy asked for."""
        import optuna

        if self._study is None:
            loud = optuna.logging.get_verbosity()
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=RANDOM_FIRST)
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
            optuna.logging.set_verbosity(loud)
        for s in screened[self._told :]:
            among = self._by_remedy.get(s.change.steps[0].remedy, [])
            if s.change in among:
                remedy = s.change.steps[0].remedy
                chosen = {"remedy": remedy, remedy: among.index(s.change)}
                spaces = {
                    "remedy": optuna.distributions.CategoricalDistribution(list(self._by_remedy)),
                    remedy: optuna.distributions.IntDistribution(0, len(among) - 1),
                }
                self._study.add_trial(optuna.trial.create_trial(params=chosen, distributions=spaces, value=s.gain))
        self._told = len(screened)
