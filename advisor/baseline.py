"""The unchanged program, measured: what is wrong with it, by which number, and how much that varies with the seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from advisor.diagnosis import Diagnosis, diagnose
from advisor.errors import AdvisorError, ScriptError
from advisor.events import BaselineDone, Diagnosed
from advisor.evidence import Evidence
from advisor.experiments import run_experiments
from advisor.experiments.seed_variance import confirmed
from advisor.laboratory import SCREEN, Laboratory
from advisor.measured import Measured
from advisor.metric import MEANING, Metric, choose, guess_mode
from advisor.plan import Plan
from advisor.record import Record
from advisor.remedies import load_remedies
from advisor.session import Trial

if TYPE_CHECKING:
    from advisor.trial import Job, Ran


@dataclass(frozen=True, slots=True)
class Baseline:
    """One run on the screening seed, and what was said of it."""

    run: Measured
    diagnosis: Diagnosis
    evidence: Evidence
    metric: Metric


def first_run(lab: Laboratory, *, metric: str | None, probes: Sequence[str], fresh: Sequence[int]) -> Baseline:
    """Train once as the user does, with probes on copies.

    fresh: seeds that the baseline is measured on next: as many as there is room for run beside it, and cost no time

    Raises: ScriptError where the program raised or never called `advisor.watch`; AdvisorError where nothing was
    measured that could be compared.
    """
    from advisor.trial import Job

    trial = Trial(number=0, plan=Plan(), stage="baseline", seeds=(SCREEN,))
    lab.ledger.start(trial)
    first = Job(0, Plan(), SCREEN, lab.ledger.id, probes=tuple(probes))
    room = fresh[: lab.jobs - 1]
    beside = [Job(0, Plan(), seed, lab.ledger.id) for i, seed in enumerate(room, start=2) if lab.budget.allows(i)]
    run = lab.train([first, *beside])[0]
    if run.broken or run.record is None or run.ran.error:
        raise _script_error(run.ran)
    evidence = lab.evidence(run)
    diagnosis = lab.diagnosis(run) or diagnose(evidence, lab.rules, lab.thresholds)
    lab.metric = _metric(run.record, diagnosis, metric)
    for text in _doubts(lab.metric, diagnosis, run.record, metric):
        lab.ledger.note(text)
    lab.ledger.update(diagnosis=diagnosis, metric=lab.metric.name, mode=lab.metric.mode)
    lab.ledger.tell(Diagnosed(Plan(), diagnosis))
    lab.ledger.done(lab.row(trial, [run]))
    return Baseline(run, diagnosis, evidence, lab.metric)


def on_fresh_seeds(lab: Laboratory, first: Baseline, seeds: Sequence[int]) -> None:
    """Measure the baseline on the seeds of the confirmations: how much it varies, and whether the fault is there.

    As many of them as the budget allows.
    """
    from advisor.trial import Job

    missing = [seed for seed in seeds if lab.known(Plan(), seed) is None]
    beyond = {seed for i, seed in enumerate(missing, start=1) if not lab.budget.allows(i, jobs=lab.jobs)}
    fitting = [seed for seed in seeds if seed not in beyond]
    jobs: list[Job] = [Job(0, Plan(), seed, lab.ledger.id) for seed in fitting]
    runs = lab.train(jobs)
    if not runs:
        return
    row = lab.row(Trial(number=0, plan=Plan(), stage="baseline", seeds=tuple(fitting)), runs)
    row = row.model_copy(update={"runs": tuple(m.ran.run for m in (first.run, *runs) if m.ran.run is not None)})
    lab.ledger.done(row)
    lab.ledger.tell(BaselineDone(row, first.metric.name))
    top = first.diagnosis.top
    if top is not None and not top.confirmed_by:  # the experiments of the first run are not repeated on these
        again = sum(top.rule in _rules(lab.diagnosis(run)) for run in runs)
        if 2 * again < len(runs):
            lab.ledger.note(f"{top.rule} was found again on only {again} of {len(runs)} other seeds: it may be chance")
    if _all_alike([first.run, *runs]):
        lab.ledger.note("every seed gave the same losses: this program's randomness is out of reach, so that matched "
                        "seeds repeat one comparison")  # fmt: skip


def experiments(lab: Laboratory, first: Baseline, seeds: Sequence[int]) -> Baseline:
    """What whole trainings say of the baseline. It is diagnosed again where a finding asks for what they found.

    A symptom asks for none: what it would measure is measured under the fault that explains it, and says nothing of the
    program without that.
    """
    record, diagnosis = first.run.record, first.diagnosis
    asked = {p for f in (*diagnosis.findings, *diagnosis.notes) if f.explained_by is None for p in f.probes}
    facts = run_experiments(lab, asked, seeds)
    if record is None or not facts:
        return first
    record = dataclasses.replace(record, facts={**record.facts, **facts})
    evidence = Evidence(record)
    answered = any(f"probe.{name}" in facts for name in asked)
    if answered:
        diagnosis = diagnose(evidence, lab.rules, lab.thresholds)
    diagnosis = confirmed(diagnosis, facts)
    lab.store.write(record.info, new_facts=facts, problems=record.problems, diagnosis=diagnosis.model_dump_json())
    lab.ledger.update(diagnosis=diagnosis)
    if answered:
        lab.ledger.tell(Diagnosed(Plan(), diagnosis))
    run = dataclasses.replace(first.run, record=record)
    return Baseline(run, diagnosis, evidence, first.metric)


def unjudged(metric: Metric, asked: str | None, record: Record, diagnosis: Diagnosis) -> str:
    """Why no plan can be judged by this metric; "" where it can."""
    top = diagnosis.top
    if top is not None and top.judge is not None and metric.name not in (asked, top.judge):
        return (
            f"{top.rule} puts {metric.name} in doubt, and nothing else in this run measures what it should: no plan "
            "can be judged before that is mended"
        )
    if metric.name in (asked, record.info.metric) or not metric.name.startswith("train_"):
        return ""
    return (
        "no validation was seen, and no fix is judged on training data alone: pass val= to advisor.watch, splitting "
        "a part off the training data (torch.utils.data.random_split) where there is none"
    )


def advice(diagnosis: Diagnosis) -> list[str]:
    """What findings ask for that no remedy does at run time."""
    known = load_remedies()
    texts = []
    for finding in diagnosis.findings:
        if finding.explained_by is None and not any(name in known for name in finding.remedies):
            texts.append(f"{finding.rule}: {finding.first_step or finding.message}")
    return texts


def _metric(record: Record, diagnosis: Diagnosis, asked: str | None) -> Metric:
    """The user's, unless the leading finding puts it in doubt and the record has what judges in its place."""
    names = [name for name, series in record.series.items() if len(series.axis) == 1 and len(series.steps)]
    info, top = record.info, diagnosis.top
    if asked is None and top is not None and top.judge in names and top.judge is not None:
        return Metric(top.judge, guess_mode(top.judge))
    if asked is not None:
        mode = info.mode if info.metric == asked else None
        info = info.model_copy(update={"metric": asked, "mode": mode or guess_mode(asked)})
    return choose(names, info, prefer=diagnosis.top.metric if diagnosis.top is not None else None)


def _doubts(metric: Metric, diagnosis: Diagnosis, record: Record, asked: str | None) -> list[str]:
    """What is said where the user's own number is not the judge, or is one in spite of a doubt."""
    top = diagnosis.top
    if top is None or top.judge is None:
        return []
    usual = asked or record.info.metric or "the validation score"
    if asked is not None:
        return [f"{top.rule} puts {usual} in doubt; it is the judge all the same, since it was asked for"]
    if metric.name != top.judge:
        return []
    what = f"{metric.name}, {MEANING[metric.name]}" if metric.name in MEANING else metric.name
    return [f"{usual} is not the judge here, since {top.rule} puts it in doubt: verdicts go by {what}"]


def _script_error(ran: Ran) -> AdvisorError:
    if ran.ours is not None:
        return ran.ours
    shown = "\n" + "\n".join(f"    {line}" for line in ran.tail.splitlines()) + "\n" if ran.tail else ""
    alone = "run it by itself first"
    if ran.status == "no_watch" and ran.error:
        return ScriptError(f"the program ended before it called advisor.watch: {ran.error}{shown}", hint=alone)
    if ran.status == "no_watch":
        return ScriptError(
            f"the program ended without calling advisor.watch{shown}",
            hint="wrap its epoch loop: for epoch in advisor.watch(range(20), model, optimizer): ...; a loop in a"
            " process that the program starts itself (mp.spawn, say) is out of reach",
        )
    said = ran.error or f"the run was {ran.status}"
    return ScriptError(f"the unchanged program does not come to its end: {said}{shown}", hint=alone)


def _rules(diagnosis: Diagnosis | None) -> set[str]:
    return {finding.rule for finding in diagnosis.findings} if diagnosis is not None else set()


def _all_alike(runs: Sequence[Measured]) -> bool:
    """Whether all runs have the same training loss in every epoch, to the last bit, and one that is finite."""
    curves = [m.record.series["train_loss"].values for m in runs if m.record is not None and "train_loss" in m.record]
    same = [len(c) == len(curves[0]) and bool(np.array_equal(c, curves[0])) for c in curves]
    return len(curves) == len(runs) > 1 and all(same) and bool(np.isfinite(curves[0]).all())
