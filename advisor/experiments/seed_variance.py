"""How far does the score move by chance, and which findings come back? The program on other seeds.

It takes no training of its own: the baseline that verdicts are measured against has them.

Result, `probe.seed_variance`:

    scores      of each seed, in the metric's unit
    deviation   their standard deviation
    found       rule -> on how many of these seeds it was found
    metric

A finding that came back on every seed says that this confirmed it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from advisor.diagnosis import Diagnosis
from advisor.experiments import AskedBy
from advisor.finding import Finding
from advisor.laboratory import Laboratory
from advisor.plan import Plan
from advisor.record import Json

asked_by: AskedBy = "nobody"

NAME = "seed_variance"
FEWEST = 3  # seeds that a finding has to come back on: two that agree are a coincidence (a convention)


def run(lab: Laboratory, seeds: Sequence[int]) -> dict[str, Json] | None:
    """None where the baseline is known on fewer than two of the seeds."""
    known = [seed for seed in seeds if lab.known(Plan(), seed) is not None]
    if len(known) < 2 or lab.metric is None:
        return None
    found: Counter[str] = Counter()
    for measured in lab.all_of(Plan()):
        diagnosis = lab.diagnosis(measured) if measured.ran.job.seed in known else None
        found.update({finding.rule for finding in diagnosis.findings} if diagnosis is not None else ())
    return {
        "metric": lab.metric.name,
        "scores": [result.final for result in lab.results(Plan(), known)],
        "deviation": lab.noise(Plan()),
        "found": dict(sorted(found.items())),
    }


def confirmed(diagnosis: Diagnosis, facts: Mapping[str, Mapping[str, Json]]) -> Diagnosis:
    """The same, where findings that came back on every seed say so. facts: of all experiments"""
    fact = facts.get(f"probe.{NAME}", {})
    found, scores = fact.get("found"), fact.get("scores")
    if not isinstance(found, dict) or not isinstance(scores, list) or len(scores) < FEWEST:
        return diagnosis

    def marked(finding: Finding) -> Finding:
        again = found.get(finding.rule) == len(scores) and NAME not in finding.confirmed_by
        return finding.model_copy(update={"confirmed_by": (*finding.confirmed_by, NAME)}) if again else finding

    return diagnosis.model_copy(update={"findings": tuple(marked(finding) for finding in diagnosis.findings)})
