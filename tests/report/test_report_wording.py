"""Plans as the report shows them: short, and never with a number that is not the remedy's own default left out."""

from __future__ import annotations

import pytest

from advisor.plan import Plan
from advisor.remedies import load_remedies
from advisor.report.defaults import default_numbers
from advisor.report.wording import plan_text


@pytest.mark.parametrize("remedy", load_remedies())
def test_a_default_that_is_read_is_the_remedys_own(remedy: str) -> None:
    """The file says what the loaded class says."""
    fields = load_remedies()[remedy].parameters.model_fields
    assert all(fields[name].default == value for name, value in default_numbers(remedy).items())


def test_defaults_are_read() -> None:
    """Plain ones, and those within a `Field`; a word, None or a remedy that is not there gives none."""
    assert {"shift": 0.125, "flip": False, "noise": 0.1}.items() <= default_numbers("augmentation").items()
    assert {"samples": 4096} == default_numbers("standardise_inputs")
    assert {} == default_numbers("more_epochs")
    assert {} == default_numbers("../plan") == default_numbers("no_such_remedy")


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (Plan.of("dropout", rate=0.5), "dropout(0.5)"),
        (Plan.of("augmentation", shift=0.125, noise=0.1), "augmentation"),
        (Plan.of("augmentation", shift=0.2, noise=0.1), "augmentation(shift=0.2)"),
        (Plan.of("learning_rate_schedule", kind="cosine", warmup=0.05), "learning_rate_schedule(kind=cosine)"),
        (Plan.of("of_another_version", a=1, b=0.5), "of_another_version(a=1, b=0.5)"),
        (Plan.of("unfreeze", layers=["a", "b"]), "unfreeze(a, b)"),
        (Plan.of("unfreeze", layers=["a", "b", "c"]), "unfreeze(a, b and 1 more)"),
        (Plan.of("class_weights", power=0.5, counts=[9, 1, 4, 4]), "class_weights(power=0.5, counts=9, 1 and 2 more)"),
    ],
)
def test_a_plan_is_short(plan: Plan, text: str) -> None:
    """The only parameter always stands; of several, a word, what differs from its default, and a list's first names."""
    assert text == plan_text(plan)


def test_the_file_has_all_parameters() -> None:
    """What is left out of the text is no less part of the plan."""
    plan = Plan.of("augmentation", shift=0.125, rotation=10.0, noise=0.1)
    assert "augmentation(rotation=10)" == plan_text(plan)
    assert plan == Plan.parse(plan.to_toml())
