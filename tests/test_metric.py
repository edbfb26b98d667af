"""The number that a run is judged by: the user's own, or the usual one; and what a wrong name is answered with."""

from __future__ import annotations

import re

import pytest

from advisor.errors import AdvisorError
from advisor.metric import MEANING, Metric, choose
from advisor.record import RunInfo
from advisor.rulebook import own_folder

NAMES = ("val_loss", "train_loss", "val_accuracy", "grad_norm", "samples_per_second", "f1_macro")


def test_the_metric_is_the_users_own_then_a_score_then_a_loss() -> None:
    """A loss falls, a score rises, unless the user says otherwise."""
    assert choose(NAMES, RunInfo(metric="f1_macro")) == Metric("f1_macro", "max")
    assert choose(NAMES, RunInfo(metric="f1_macro", mode="min")) == Metric("f1_macro", "min")
    assert choose(NAMES) == Metric("val_accuracy", "max")
    assert choose(NAMES, prefer="val_loss") == Metric("val_loss", "min")
    assert choose(("train_loss", "val_loss")) == Metric("val_loss", "min")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("f1_makro", "log it with watch.log(f1_makro=…), or use f1_macro"),
        ("bleu", "log it with watch.log(bleu=…), or use val_accuracy or val_loss or train_loss"),
    ],
)
def test_a_metric_that_never_appeared(asked: str, hint: str) -> None:
    """What may have been meant, else what judges a run; not the dozens of series that a record has."""
    with pytest.raises(AdvisorError) as raised:
        choose(NAMES, RunInfo(metric=asked))
    assert (raised.value.what, raised.value.hint) == (f"the metric {asked!r} never appeared", hint)


def test_nothing_to_judge_by() -> None:
    """A run that measured nothing."""
    with pytest.raises(AdvisorError, match="nothing was measured that could be compared; pass val= and loss_fn="):
        choose(("grad_norm",))


def test_whatever_judges_in_the_place_of_the_programs_own_number_is_explained() -> None:
    """Who reads such a verdict never asked for it."""
    texts = [path.read_text(encoding="utf-8") for path in own_folder().glob("*.py")]
    judges = {name for text in texts for name in re.findall(r'judge="(\w+)"', text)}
    assert judges == set(MEANING)
