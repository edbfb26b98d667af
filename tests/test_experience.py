"""What earlier sessions say for a remedy, and how far that moves a rule's own order."""

from __future__ import annotations

import pytest
from worlds import change, diagnosed

from advisor.experience import Experience, experience
from advisor.plan import Plan
from advisor.session import FixSession, Kind, Trial, Verdict


def session(*trials: Trial) -> str:
    return FixSession(diagnosis=diagnosed("a", rule="fault"), trials=trials).model_dump_json()


def tried(name: str, kind: Kind, stage: str = "confirm", against: Plan | None = None) -> Trial:
    verdict = Verdict(kind=kind, seeds=(1,), baseline=(0.5,), plan=(0.6,), gain=0.1)
    return Trial.model_validate(
        {
            "number": 1, "plan": change(name), "stage": stage, "seeds": (1,), "verdict": verdict,
            "against": against or Plan(),
        }
    )  # fmt: skip


def test_without_experience_the_rule_decides() -> None:
    """The order in which a rule lists its remedies."""
    assert Experience().order("fault", ("a", "b", "c")) == ["a", "b", "c"]


def test_what_helped_moves_forward() -> None:
    """c helped in two sessions and a failed in two: 1.2 of 2 tries prior each, then 3.0/4 against 1.2/4."""
    past = experience([session(tried("a", "hurt"), tried("c", "helped"))] * 2)
    assert past.order("fault", ("a", "b", "c")) == ["c", "b", "a"]
    assert past.order("another", ("a", "b", "c")) == ["a", "b", "c"]


def test_one_failure_does_not_overthrow_an_order_of_two_steps() -> None:
    """(1.2 + 0.5) / 3 for a first remedy that looked good and was not confirmed, against 0.54 for the second."""
    past = experience([session(tried("a", "inconclusive", "screen"))])
    assert past.order("fault", ("a", "b")) == ["a", "b"]


@pytest.mark.parametrize(
    ("trial", "worth"),
    [
        (tried("a", "helped"), [1.0]),
        (tried("a", "no_difference"), [0.0]),
        (tried("a", "no_effect", "screen"), [0.0]),
        (tried("a", "inconclusive", "screen"), [0.5]),
        (tried("a", "helped", against=change("b")), []),
        (tried("a", "helped", "control"), []),
    ],
)
def test_what_a_trial_is_worth(trial: Trial, worth: list[float]) -> None:
    """A confirmation by its verdict, a screening by half; what was added to another plan says nothing."""
    assert list(experience([session(trial)]).tries.get(("fault", "a"), ())) == worth


def test_what_cannot_be_read_is_passed_over() -> None:
    """A document of another version is no reason to end a session."""
    assert experience(['{"id": "no number"}', session(tried("a", "helped"))]).tries == {("fault", "a"): [1.0]}
