"""What a loop without loaders evaluates, as a fact -> whether its validation is of training samples."""

from __future__ import annotations

from constructed import fired, result
from data_runs import run

from advisor.evidence import Evidence


def evaluated(in_training: int, *, copies: float = 0.0) -> Evidence:
    """200 samples are evaluated as validation."""
    return run({"evaluated": {"given": 200, "in_training": in_training, "copies": copies}})


def test_a_loop_that_evaluates_its_training_samples_only_is_told() -> None:
    """A note, since it may want to know no more; where others are among them, their score is too good."""
    only, some = (fired("train_val_leakage", evaluated(count)) for count in (200, 40))
    assert ("note", "problem") == (only.severity, some.severity)
    assert only.message.startswith("The loop evaluates training samples only")
    assert some.message.startswith("20% of the validation samples are also training samples")


def test_a_few_copies_and_samples_that_repeat_by_themselves_are_left_alone() -> None:
    """A tenth is the bound; where a tenth of the training samples repeats, a sixth of validation does by itself."""
    assert result("train_val_leakage", evaluated(19)) == "clear"
    assert result("train_val_leakage", evaluated(32, copies=0.1)) == "clear"


def test_without_either_the_rule_cannot_be_asked() -> None:
    """Nobody compared the samples: not measured is not clear."""
    assert result("train_val_leakage", run({})) == "not_applicable"
