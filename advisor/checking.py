"""A rule and what it is checked on -> what it owes and does not give: one sentence each, with the next move.

The same for our rules and for users': `tests/rules` and `advisor check-rules` ask the functions of `CHECKS`. The first
line of each is its name in the table.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator

from advisor.cases import TWINS, Cases
from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.experiments import known_experiments
from advisor.finding import Finding, Outcome
from advisor.partial import parts
from advisor.probes import known_probes
from advisor.record import Record
from advisor.remedies import load_remedies
from advisor.rulebook import HEADINGS, KINDS, Rule
from advisor.source_facts import FACTS
from advisor.thresholds import Cited, Measured

MARGIN = 1.5  # by which a threshold may be off in either direction
FEWEST_WORDS = 8  # below a heading of a page: a convention, a sentence
FEWEST_SOURCE_WORDS = 4  # of a threshold: a convention, "as in X"
ONE_HEALTHY = 1  # run of which parts are taken, beside all twins: they are many, and much alike


def complete_page(rule: Rule, _: Cases) -> Iterator[str]:
    """The page is complete."""
    sections = dict(zip(HEADINGS, re.split(r"^## .+$", rule.page, flags=re.MULTILINE)[1:], strict=True))
    for heading, text in sections.items():
        if len(text.split()) < FEWEST_WORDS:
            yield f"## {heading} has fewer than {FEWEST_WORDS} words: say more"
    if not re.search(r"^ {4}\S", sections["Example"], flags=re.MULTILINE):
        yield "## Example shows no code: indent some by four spaces"
    if "https://" not in sections["References"]:
        yield "## References has nothing to look up: give an address that begins with https://"
    if not rule.summary.endswith("."):
        yield "the first paragraph is no sentence: end it with a full stop"


def known_names(rule: Rule, cases: Cases) -> Iterator[str]:
    """What it names exists."""
    others = set(cases.rules) - {rule.name}
    known = {
        "remedies": set(load_remedies()),
        "probes": {*known_probes(), *known_experiments()},
        "explains": others | set(KINDS),
        "contradicts": others - set(rule.symptoms),
        "in_source": set(FACTS),
    }
    for argument, there in known.items():
        unknown = sorted(set(getattr(rule, argument)) - there)
        if unknown:
            yield f"{argument} has {', '.join(unknown)}: take it out, or one of {', '.join(sorted(there))}"


def sourced_thresholds(rule: Rule, cases: Cases) -> Iterator[str]:
    """Its numbers say where they come from."""
    references = rule.page.split("## References")[1]
    for threshold in rule.thresholds:
        text = threshold.source.source
        if len(text.split()) < FEWEST_SOURCE_WORDS:
            yield f"{threshold.name}: {text!r} is no reason: write {FEWEST_SOURCE_WORDS} words or more"
        if isinstance(threshold.source, Measured):
            paths = re.findall(r"(?:fixtures|tests)/[\w/]+(?:\.py)?", text)
            missing = [path for path in paths if not (cases.root / path).exists()]
            if missing or not paths:
                where = f"{', '.join(missing)} not in {cases.root}" if missing else "no fixture"
                yield f"{threshold.name} is Measured on {where}: name a path that begins with fixtures/ or tests/"
        if isinstance(threshold.source, Cited):
            name = re.split(r"[,:;]| et al", text)[0]
            if name not in references:
                yield f"{threshold.name} cites {name!r}: put it below ## References"


def paired_scripts(rule: Rule, cases: Cases) -> Iterator[str]:
    """Its twins are there, were run, and differ by the fault only."""
    scripts = cases.scripts(rule)
    missing = [str(path) for path in scripts if not path.exists()]
    if missing:
        yield f"there is no {', no '.join(missing)}: write it, a run with the fault and one without"
        return
    faulty, fixed = (path.read_text(encoding="utf-8").splitlines() for path in scripts)
    lines = difflib.ndiff(faulty, fixed)
    changes = [line for line in lines if line.startswith("- ") and not line.startswith('- """')]
    if len(changes) != 1:
        yield f"faulty.py and fixed.py differ by {len(changes)} lines beside their docstrings: let it be the fault's"
    if cases.twins(rule) is None:
        yield "there is no record of them: run them with `advisor check-rules`"


def declared_names(rule: Rule, cases: Cases) -> Iterator[str]:
    """It reads what it declares."""
    asked: set[str] = set()
    for record in cases.records.values():
        run = Evidence(record)
        rule.run(run)
        asked |= run.used
    declared = {*rule.needs, *rule.optional}
    if asked - declared:
        yield f"it reads {', '.join(sorted(asked - declared))}: add to needs, or to optional where it asks first"
    if declared - asked:
        yield f"it never reads {', '.join(sorted(declared - asked))} on any record: take it out, or add a case"


def first_on_faulty(rule: Rule, cases: Cases) -> Iterator[str]:
    """It comes first on its faulty twin, and explains whatever else fires."""
    twins = cases.twins(rule)
    if twins is None:
        return
    outcome = rule.run(Evidence(twins[0]))
    if outcome.result != "fired":
        yield f"faulty.py: expected a finding, {_said(outcome)}; make the fault stronger, or the thresholds looser"
        return
    diagnosis = diagnose(Evidence(twins[0]), cases.rules)
    if diagnosis.top is None or diagnosis.top.rule != rule.name:
        first = diagnosis.top.rule if diagnosis.top is not None else "nothing"
        yield f"faulty.py: {first} comes first; let this rule explain it, or be surer, if it is the cause"
    others = [f.rule for f in diagnosis.findings if f.rule != rule.name and f.explained_by != rule.name]
    if others:
        yield f"faulty.py: {', '.join(others)} fires too: add to explains, or make a program with one fault"


def clear_on_fixed(rule: Rule, cases: Cases) -> Iterator[str]:
    """It is clear on its fixed twin, and nothing else fires there."""
    twins = cases.twins(rule)
    if twins is None:
        return
    outcome = rule.run(Evidence(twins[1]))
    if outcome.result != "clear":
        yield f"fixed.py: expected clear, {_said(outcome)}"
    others = [f.rule for f in diagnose(Evidence(twins[1]), cases.rules).findings if f.rule != rule.name]
    if others:
        yield f"fixed.py: {', '.join(others)} fires: make a program without any fault"


def readable_finding(rule: Rule, cases: Cases) -> Iterator[str]:
    """Its finding is a sentence with numbers and a first step."""
    twins = cases.twins(rule)
    finding = rule.run(Evidence(twins[0])).finding if twins is not None else None
    if finding is None:
        return
    if not re.fullmatch(r"[A-Z0-9].*\d.*\.", finding.message) or "nan" in finding.message:
        yield f"message: expected a sentence (Capital, a number, full stop), found {finding.message!r}"
    if not finding.first_step.endswith("."):
        yield f"first_step: expected a sentence that says what to do, found {finding.first_step!r}"
    if not finding.numbers:
        yield "numbers: expected what the finding rests on, beside the thresholds, found none"


def silent_on_healthy(rule: Rule, cases: Cases) -> Iterator[str]:
    """It is silent on healthy runs."""
    for name, record in cases.healthy.items():
        outcome = rule.run(Evidence(record))
        if _is_problem(outcome.finding) or outcome.result == "crashed":
            yield f"{name}: {_said(outcome)}; see what is different there, or what the program does on purpose"


def room_around_thresholds(rule: Rule, cases: Cases) -> Iterator[str]:
    """Each threshold has room: 1.5 times stricter or looser, the answers are the same."""
    twins = cases.twins(rule)
    if twins is None:
        return
    faulty, fixed = twins
    for threshold in rule.thresholds:
        for value in (threshold.default * MARGIN, threshold.default / MARGIN):
            said = f"{threshold.name} = {value:.3g} instead of {threshold.default:g}"
            outcome = rule.run(Evidence(faulty), {threshold.name: value})
            if not _is_problem(outcome.finding):
                yield f"{said}, faulty.py: expected a finding, {_said(outcome)}"
            alarms = _alarms(rule, {"fixed.py": fixed, **cases.healthy}, {threshold.name: value})
            if alarms:
                yield f"{said}: fires on {', '.join(alarms)}; it tells too little apart: measure something else"


def answers_on_part_of_a_record(rule: Rule, cases: Cases) -> Iterator[str]:
    """It never crashes on part of a record."""
    twins = [name for name in cases.records if name.partition("/")[2] in TWINS]
    for name in [*twins, *list(cases.healthy)[:ONE_HEALTHY]]:
        record = cases.records[name]
        whole = Evidence(record)
        rule.run(whole)
        for missing, part in parts(record, sorted(whole.read)):
            outcome = rule.run(Evidence(part))
            if outcome.result == "crashed":
                yield f"{name} without {missing}: {outcome.error}; ask has() first, or return None"
                break


Check = Callable[[Rule, Cases], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    complete_page,
    known_names,
    sourced_thresholds,
    paired_scripts,
    declared_names,
    first_on_faulty,
    clear_on_fixed,
    readable_finding,
    silent_on_healthy,
    room_around_thresholds,
    answers_on_part_of_a_record,
)


def title(check: Check) -> str:
    """What a check is about, in a sentence."""
    return (check.__doc__ or check.__name__).splitlines()[0]


def _alarms(rule: Rule, records: dict[str, Record], overrides: dict[str, float]) -> list[str]:
    return [name for name, record in records.items() if _is_problem(rule.run(Evidence(record), overrides).finding)]


def _is_problem(finding: Finding | None) -> bool:
    return finding is not None and finding.severity == "problem"


def _said(outcome: Outcome) -> str:
    detail = {
        "fired": f"it fired: {outcome.finding.message if outcome.finding else ''}",
        "clear": "it is clear",
        "not_applicable": f"it is not applicable for want of {outcome.missing}",
        "crashed": f"it crashed: {outcome.error}",
    }
    return detail[outcome.result]
