"""What every rule owes, found by folder: a page, twins, silence on healthy runs, room around each threshold."""

from __future__ import annotations

import difflib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from constructed import FIXTURES, ROOT, RULES, healthy, stored, twins

from advisor import Cited, Measured
from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.probes import known_probes
from advisor.record import Record, Series
from advisor.remedies import load_remedies
from advisor.rulebook import HEADINGS, Rule
from advisor.scarcity import EXPERIMENT

MARGIN = 1.5  # by which a threshold may be off in either direction
MOST_BYTES = 60_000  # of a stored record: a repository is no place for data
rules = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
thresholds = pytest.mark.parametrize(
    ("rule", "overrides"),
    [
        pytest.param(rule, {t.name: t.default * factor}, id=f"{rule.name}-{t.name}-{factor:.2g}")
        for rule in RULES.values()
        for t in rule.thresholds
        for factor in (MARGIN, 1 / MARGIN)
    ],
)


def records() -> Iterator[tuple[str, Record]]:
    """Every stored record."""
    for path in sorted(FIXTURES.glob("*/*.json")):
        yield f"{path.parent.name}/{path.stem}", stored(path.parent.name, path.stem)


@rules
def test_the_page_is_complete(rule: Rule) -> None:
    """Every heading has something below it, the example is code, and the references can be looked up."""
    sections = dict(zip(HEADINGS, re.split(r"^## .+$", rule.page, flags=re.MULTILINE)[1:], strict=True))
    assert [heading for heading, text in sections.items() if len(text.split()) < 8] == []
    assert re.search(r"^ {4}\S", sections["Example"], flags=re.MULTILINE)
    assert "https://" in sections["References"]
    assert rule.summary.endswith(".")


@rules
def test_what_it_names_exists(rule: Rule) -> None:
    """Remedies, probes and the rules that it explains are there."""
    assert set(rule.remedies) <= set(load_remedies())
    assert set(rule.probes) <= {*known_probes(), EXPERIMENT}
    assert set(rule.explains) <= set(RULES) - {rule.name}


@rules
def test_its_numbers_say_where_they_come_from(rule: Rule) -> None:
    """A source is a sentence; what was measured names a fixture that is there; what is cited is in the references."""
    references = rule.page.split("## References")[1]
    for threshold in rule.thresholds:
        text = threshold.source.source
        assert len(text.split()) >= 4, f"{threshold.name}: {text}"
        if isinstance(threshold.source, Measured):
            paths = re.findall(r"(?:fixtures|tests)/[\w/]+(?:\.py)?", text)
            assert paths, f"{threshold.name} names no fixture"
            assert all((ROOT / path).exists() for path in paths), text
        if isinstance(threshold.source, Cited):
            assert re.split(r"[,:;]| et al", text)[0] in references, f"{threshold.name}: {text}"


@rules
def test_it_reads_what_it_declares(rule: Rule) -> None:
    """Over all fixtures it asks for exactly its needs and what is optional."""
    asked: set[str] = set()
    for _, record in records():
        run = Evidence(record)
        rule.run(run)
        asked |= run.used
    assert asked == {*rule.needs, *rule.optional}


@rules
def test_it_comes_first_on_its_faulty_twin(rule: Rule) -> None:
    """The faulty program has this fault and no other cause."""
    diagnosis = diagnose(Evidence(twins(rule)[0]), RULES)
    assert diagnosis.top is not None
    assert diagnosis.top.rule == rule.name
    assert {finding.explained_by for finding in diagnosis.findings[1:]} <= {rule.name}


@rules
def test_it_is_clear_on_its_fixed_twin(rule: Rule) -> None:
    """Not silent for want of numbers: it looked and found nothing; and neither did any other rule."""
    fixed = Evidence(twins(rule)[1])
    assert rule.run(fixed).result == "clear"
    assert diagnose(fixed, RULES).findings == ()


@rules
def test_the_finding_can_be_read(rule: Rule) -> None:
    """One sentence with a number in it, the numbers beside it, and a first step."""
    finding = rule.run(Evidence(twins(rule)[0])).finding
    assert finding is not None
    assert re.fullmatch(r"[A-Z0-9].*\d.*\.", finding.message)
    assert finding.first_step.endswith(".")
    assert finding.numbers
    assert "nan" not in finding.message


@pytest.mark.parametrize("name", healthy())
def test_a_healthy_run_is_healthy(name: str) -> None:
    """No finding on any of the controls, each of which traps a naive rule."""
    diagnosis = diagnose(Evidence(stored("healthy", name)), RULES)
    assert (diagnosis.status, diagnosis.findings, diagnosis.crashed) == ("healthy", (), ())


@thresholds
def test_a_threshold_has_room(rule: Rule, overrides: dict[str, float]) -> None:
    """One and a half times stricter or looser, it tells the twins apart and is silent on healthy runs."""
    faulty, fixed = twins(rule)
    finding = rule.run(Evidence(faulty), overrides).finding
    assert finding is not None
    assert finding.severity == "problem"
    alarms = [("fixed", fixed), *((name, stored("healthy", name)) for name in healthy())]
    found = {name: rule.run(Evidence(record), overrides).finding for name, record in alarms}
    assert {name for name, finding in found.items() if finding and finding.severity == "problem"} == set()


@rules
def test_it_never_crashes_on_part_of_a_record(rule: Rule) -> None:
    """With any number missing, with NaN in any series and after any number of epochs it has an answer."""
    for name, record in records():
        if name.startswith("healthy") and name != "healthy/cosine_to_zero":
            continue
        for part in parts(record):
            outcome = rule.run(Evidence(part))
            assert outcome.result != "crashed", f"{name}: {outcome.error}"


def parts(record: Record) -> Iterator[Record]:
    yield replace(record, series={}, facts={})
    for name in record.series:
        yield replace(record, series={k: v for k, v in record.series.items() if k != name})
        yield replace(record, series={**record.series, name: broken(record.series[name])})
    for name in record.facts:
        yield replace(record, facts={k: v for k, v in record.facts.items() if k != name})
        yield replace(record, facts={**record.facts, name: None})
    for epochs in range(1, 5):
        yield replace(record, series={k: first(v, epochs) for k, v in record.series.items()})


def broken(series: Series) -> Series:
    """The same with NaN from its middle on."""
    values = series.values.copy()
    values[len(values) // 2 :] = float("nan")
    return replace(series, values=values)


def first(series: Series, epochs: int) -> Series:
    kept = series.epochs < epochs
    return replace(series, steps=series.steps[kept], epochs=series.epochs[kept], values=series.values[kept])


@rules
def test_the_twins_differ_by_the_fault_only(rule: Rule) -> None:
    """One line of code, beside the sentence that says so."""
    texts = [
        (FIXTURES / rule.name / f"{name}.py").read_text(encoding="utf-8").splitlines() for name in ("faulty", "fixed")
    ]
    lines = difflib.ndiff(texts[0], texts[1])
    changes = [line for line in lines if line.startswith("- ") and not line.startswith('- """')]
    assert len(changes) == 1, changes


def test_every_fixture_has_a_short_record() -> None:
    """A script and its record lie side by side, and a record holds no path of the machine that made it."""
    scripts = {path.with_suffix("") for path in FIXTURES.glob("*/*.py")}
    stored_records = {path.with_suffix(""): path for path in FIXTURES.glob("*/*.json")}
    assert scripts == set(stored_records)
    assert {path.parent.name for path in scripts} == {*RULES, "healthy"}
    for path in stored_records.values():
        text = path.read_text(encoding="utf-8")
        assert len(text) < MOST_BYTES, path
        assert '"script"' not in text


def test_the_index_is_true() -> None:
    """rules/README.md is what `python rules/_index.py` writes."""
    spec = importlib.util.spec_from_file_location("rules_index", ROOT / "rules" / "_index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "rules" / "README.md").read_text(encoding="utf-8") == module.index(RULES)


@pytest.mark.slow
@rules
def test_the_scripts_still_do_what_their_records_say(rule: Rule) -> None:
    """Trained anew, the faulty twin has the fault and the fixed one has not."""
    code = (
        "import sys, make; from pathlib import Path; from advisor.evidence import Evidence; "
        "from advisor.diagnosis import diagnose; from advisor.rulebook import load_rules\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    made = make.record(path)\n"
        "    if path.parent.name in make.EXPERIMENTS: made = make.with_data_fractions(path, made)\n"
        "    top = diagnose(Evidence(made), load_rules()).top\n"
        "    print(top.rule if top else None)"
    )
    folder = FIXTURES / rule.name
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder / "faulty.py"), str(folder / "fixed.py")]
    environment = {"PYTHONPATH": f"{ROOT}:{FIXTURES}", "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [rule.name, "None"]
