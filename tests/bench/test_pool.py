"""The benchmarks of verdicts and sessions, on made-up runs: what they deal out, count and divide is what they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from aa import NULL, ORDER, measure, session, swapped
from early_stop import ToTheEnd, is_best, less
from pool import Run, added, confirmed, interval, kept_epochs, matched, nothing, shifted, spread, train, unmatched
from power import planted
from session_cost import PARTS, Timed, add
from small import shorter

from advisor.assignment import Rival
from advisor.metric import Metric
from advisor.plan import Plan
from advisor.record import Record, RunInfo, Series
from advisor.remedies import load_remedies
from advisor.trial import Job, Ran

ACCURACY = Metric("val_accuracy", "max")


def run(final: float, epochs: int = 4) -> Run:
    """A run that has the same score in every epoch, and a training loss that no other has."""
    series = {"val_accuracy": np.full(epochs, final), "train_loss": np.full(epochs, 1 - final)}
    return Run(series, final)


def runs(count: int) -> list[Run]:
    return [run(float(final)) for final in np.random.default_rng(0).normal(0.5, 0.01, count)]


def test_no_run_is_dealt_twice() -> None:
    """Every plan and seed gets one of its own, and gets it again."""
    some = runs(12)
    source = unmatched(some, np.random.default_rng(0))
    dealt = [source(plan, seed).final for plan in (Plan(), NULL) for seed in range(6)]
    assert sorted(r.final for r in some) == sorted(dealt)
    assert source(NULL, 3).final == dealt[9]


def test_matched_runs_stay_beside_each_other() -> None:
    """A plan's run has the baseline's seed, also when pairs are swapped."""
    plain, other = [run(n / 10) for n in range(8)], [run(n / 10 + 0.05) for n in range(8)]
    source = matched(*swapped(plain, other, np.random.default_rng(1)), np.random.default_rng(2))
    differences = [source(NULL, seed).final - source(Plan(), seed).final for seed in range(8)]
    assert [round(abs(d), 9) for d in differences] == [0.05] * 8
    assert {d > 0 for d in differences} == {True, False}


def test_a_run_is_cut_where_watch_would_cut_it() -> None:
    """After `patience` epochs in a row below the rival's floors; an epoch that has none is none of them."""
    rival = Rival({3: 0.4, 4: 0.4, 5: 0.4}, patience=2)
    job = Job(1, NULL, 0, rival=rival)
    assert kept_epochs([0.0, 0.0, 0.0, 0.0, 0.0, 0.9], job) == 5
    assert kept_epochs([0.0, 0.0, 0.0, 0.0, 0.45, 0.0], job) == 6
    assert kept_epochs([0.0, 0.0, 0.0, float("nan"), float("nan")], job) == 5
    assert kept_epochs([0.0] * 6, Job(1, NULL, 0)) == 6


def test_verdicts_come_from_what_is_dealt(tmp_path: Path) -> None:
    """A gain of ten spreads helped; runs that are all alike made no difference."""
    some = runs(24)
    source = unmatched(some, np.random.default_rng(0))
    gain = 10 * spread(some)
    with added(nothing("redraw")):
        better = confirmed(tmp_path, lambda p, s: shifted(source(p, s), ACCURACY, gain if p else 0.0), ACCURACY, NULL)
        alike = confirmed(tmp_path, unmatched([run(0.5)] * 24, np.random.default_rng(0)), ACCURACY, NULL)
    assert (better.kind, better.seeds) == ("helped", (1, 2, 3, 4, 5))
    assert (alike.kind, alike.gain) == ("no_difference", 0.0)


def test_a_session_keeps_nothing_where_nothing_differs(tmp_path: Path) -> None:
    """Neither does a confirmation; the known remedies are back afterwards."""
    before = dict(load_remedies())
    same = [run(0.5)] * 60
    with added(nothing("redraw")):
        assert measure(ACCURACY, same, same, same, 1, 2).tolist() == [[0, 2], [0, 2], [0, 1]]
    assert session(tmp_path, 1, ACCURACY, unmatched(same, np.random.default_rng(0))) == Plan()
    assert load_remedies() == before


def test_a_planted_gain_is_found() -> None:
    """Two standard deviations are said to have helped in more than half of ten verdicts."""
    with added(nothing("redraw")):
        assert planted(ACCURACY, runs(40), 10) > 5


def test_the_interval_is_clopper_and_pearsons() -> None:
    """None of ten: up to 1 - 0.025^(1/10)."""
    assert interval(0, 10) == f"0 of 10, 0.0 % (0.0 to {100 * (1 - 0.025**0.1):.1f})"


def test_the_plan_that_does_nothing_changes_the_draws_and_no_more() -> None:
    """On one seed: other losses with both nulls, and the same run again where it is repeated."""
    with added(nothing("redraw")):
        metric, rows = train(shorter("classification", 2), [Plan(), NULL, ORDER, NULL], [1])
    losses = [tuple(row[0].series["train_loss"]) for row in rows]
    assert metric == ACCURACY
    assert len(set(losses[:3])) == 3
    assert losses[3] == losses[1]


def test_without_stopping_no_trial_has_a_rival() -> None:
    """The other orders of a job stay."""

    class Seen:
        def run(self, jobs: Iterable[Job]) -> Iterator[Ran]:
            for job in jobs:
                yield Ran(job, None, "no_watch", None, 0.0, 0.0, Path("log"))

    (ran,) = ToTheEnd(Seen()).run([Job(3, NULL, 0, 7, Rival({}))])
    assert ran.job == Job(3, NULL, 0, 7)
    assert (less(100, 70), less(0, 0)) == ("30 % less", "nothing")


def test_stopped_wrongly_is_what_would_have_won() -> None:
    """The best of those compared with the same plan, and only where it gains."""
    gains = {("plain", "a"): 0.2, ("plain", "b"): 0.1, ("a", "a + c"): -0.1}
    assert [is_best(gains, key) for key in [*gains, ("plain", "d")]] == [True, False, False, False]


def test_a_trial_s_time_is_divided_without_a_rest() -> None:
    """Asked for at 100 s, first line at 101, `watch` at 103, loop over at 113, result at 114; 8 s of epochs."""
    seconds = Series("seconds", "train", ("forward", "other"), np.arange(2), np.arange(2), np.full((2, 2), 2.0))
    record = Record(RunInfo(started=103.0, ended=113.0), {"seconds": seconds})
    ran = Ran(Job(0, Plan(), 0), 1, "finished", None, 14.0, 1.0, Path("log"))
    parts = dict.fromkeys(PARTS, 0.0)
    add(parts, Timed(ran, 100.0, 114.0), record)
    assert [8.0, 2.0, 1.0, 2.0, 0.0, 1.0] == pytest.approx([parts[name] for name in PARTS])
