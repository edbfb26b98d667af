"""A record as JSON: what comes back is what went in, without where and when."""

from __future__ import annotations

import numpy as np
import pytest

from advisor.errors import AdvisorError
from advisor.record import Layer, Record, RunInfo, Series
from advisor.snapshot import from_json, to_json

STEPS = np.array([1, 4], dtype=np.int64)


def series(name: str, values: list[list[float]], axis: tuple[str, ...] = ("",)) -> Series:
    return Series(name, "step", axis, STEPS, STEPS * 0, np.array(values, dtype=np.float32))


def test_a_record_survives_the_round_trip() -> None:
    """Also NaN, infinity, an axis, facts that are tables, and what went wrong inside."""
    info = RunInfo(task="regression", epochs=3, layers=(Layer(name="a", kind="Linear", parameters=2),))
    made = {
        "step_loss": series("step_loss", [[1.25], [float("nan")]]),
        "grad_norm": series("grad_norm", [[1.5, float("inf")], [0.1, -2.0]], ("a", "b")),
    }
    facts = {"classes": 2, "probe.x": {"scores": [0.5, None]}}
    back = from_json(to_json(Record(info, made, facts, ("it broke",))))
    assert (back.info, back.facts, back.problems) == (info, facts, ("it broke",))
    for name, before in made.items():
        after = back.series[name]
        assert (after.name, after.phase, after.axis) == (before.name, before.phase, before.axis)
        np.testing.assert_array_equal(after.steps, before.steps)
        np.testing.assert_allclose(after.values, before.values, rtol=1e-6)


def test_it_keeps_neither_place_nor_time() -> None:
    """Nothing of the machine, and no series of the clock."""
    info = RunInfo(script="/home/me/train.py", host="mine", started=12.0, source="import torch", pid=7)
    text = to_json(Record(info, {"seconds": series("seconds", [[1.0], [2.0]])}))
    assert not any(word in text for word in ("/home", "mine", "12.0", "import", "seconds"))


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 2}'])
def test_other_texts_are_refused(text: str) -> None:
    """With the file's name and what to do."""
    with pytest.raises(AdvisorError, match=r"^x\.json: expected .*; make it anew$"):
        from_json(text, "x.json")
