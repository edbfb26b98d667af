"""Pages of rules and remedies: read as text, found by name, misspelt or not."""

from __future__ import annotations

import pytest
from rich.console import Console

from advisor.errors import AdvisorError
from advisor.experiments import known_experiments
from advisor.metric import MEANING
from advisor.pages import Page, find_page, listing, load_pages
from advisor.probes import known_probes
from advisor.remedies import load_remedies
from advisor.rulebook import load_rules

PAGES = {
    name: Page(name, "rule", f"{name} is bad. More.\n\n## What it does\n", "fit")
    for name in ("overfitting", "dead_units")
}


def test_whatever_a_report_names_has_its_page() -> None:
    """The list is that of the loaders, though no remedy is imported, and each summary is one sentence."""
    pages = load_pages()
    assert {name for name, page in pages.items() if page.kind == "rule"} == set(load_rules())
    assert {name for name, page in pages.items() if page.kind == "remedy"} == set(load_remedies())
    asked = {*known_probes(), *known_experiments()}
    assert {name for name, page in pages.items() if page.kind == "experiment"} == asked
    assert {name for name, page in pages.items() if page.kind == "number"} == set(MEANING)
    for name, remedy in load_remedies().items():
        assert pages[name].text.strip() == remedy.page.strip()
    for page in pages.values():
        assert page.summary.endswith((".", "?", "!", ":"))


def test_a_rules_page_lists_its_thresholds_with_their_sources() -> None:
    """What only the code knows is added below the page."""
    pages = load_pages()
    for name, rule in load_rules().items():
        for threshold in rule.thresholds:
            assert (
                f"- `{threshold.name} = {threshold.default:g}`: {type(threshold.source).__name__}, " in pages[name].text
            )


def test_a_name_may_be_written_with_dashes_or_spaces() -> None:
    """`dead-units` and `Dead units` are `dead_units`."""
    assert find_page(PAGES, "dead-units") is find_page(PAGES, "Dead units") is PAGES["dead_units"]


def test_a_misspelt_name_gets_the_closest() -> None:
    """The hint names what was meant."""
    with pytest.raises(AdvisorError, match=r"no rule, remedy or experiment 'overfiting'; did you mean overfitting\?"):
        find_page(PAGES, "overfiting")
    with pytest.raises(AdvisorError, match="'xyz'; `advisor explain` lists them"):
        find_page(PAGES, "xyz")


def test_the_list_has_the_first_sentences() -> None:
    """One line a page: name and first sentence, below the title of its kind."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(listing(PAGES))
    assert [line.split() for line in capture.get().splitlines() if "is bad" in line] == [
        ["overfitting", "overfitting", "is", "bad."],
        ["dead_units", "dead_units", "is", "bad."],
    ]
