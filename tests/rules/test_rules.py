"""What every rule owes, found by folder: a page, twins, silence on healthy runs, room around each threshold.

The checks are those that `advisor check-rules` makes of a user's rules.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import cache

import pytest
from constructed import FIXTURES, ROOT, RULES, healthy, stored, twins

from advisor.cases import Cases, load_cases
from advisor.checking import CHECKS, Check
from advisor.diagnosis import diagnose
from advisor.evidence import Evidence
from advisor.rulebook import Rule, load_rules

MOST_BYTES = 60_000  # of a stored record: a repository is no place for data
rules = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
checks = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


@cache
def cases() -> Cases:
    """All stored records."""
    return load_cases(RULES, ROOT)


@rules
@checks
def test_a_rule_gives_what_it_owes(check: Check, rule: Rule) -> None:
    """Nothing is found wanting by any check of `advisor.checking`, whose docstrings say what they are."""
    assert [] == list(check(rule, cases()))


@rules
def test_it_still_comes_first_at_the_confidence_that_was_measured(rule: Rule) -> None:
    """What the corpus says of how often rules are right does not put a symptom above its cause."""
    top = diagnose(Evidence(twins(rule)[0]), load_rules()).top
    assert top is not None
    assert top.rule == rule.name


@pytest.mark.parametrize("name", healthy())
def test_a_healthy_run_is_healthy(name: str) -> None:
    """No finding on any of the controls, each of which traps a naive rule."""
    diagnosis = diagnose(Evidence(stored("healthy", name)), RULES)
    assert (diagnosis.status, diagnosis.findings, diagnosis.crashed) == ("healthy", (), ())


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
        "import sys; from pathlib import Path; from advisor.evidence import Evidence; "
        "from advisor.diagnosis import diagnose; from advisor.recorded import record_for; "
        "from advisor.rulebook import load_rules\n"
        "rules = load_rules()\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    top = diagnose(Evidence(record_for(path, rules[path.parent.name])), rules).top\n"
        "    print(top.rule if top else None)"
    )
    folder = FIXTURES / rule.name
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder / "faulty.py"), str(folder / "fixed.py")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == [rule.name, "None"]
