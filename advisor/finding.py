"""What a rule says of a run: a finding with the numbers that it rests on, or one of the three other outcomes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Number(BaseModel):
    """One number that a finding rests on, beside the threshold that it passed."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    text: str  # a plain clause that contains the number, e.g. "clean train accuracy 1.000, validation 0.842"
    value: float
    threshold: float | None = None


class Finding(BaseModel):
    """What a rule says of a run. A rule fills the upper half; the rulebook fills the lower.

    message:    what is wrong, in one sentence, with the two or three numbers that show it
    first_step: what to do first, in one sentence
    confidence: probability that a careful engineer would agree, in [0, 1]
    since:      epoch (or step, where the sentence says so) at which it began
    layers:     which layers it concerns; empty for all
    metric:     the series that shows the harm, where it is not the run's score, e.g. "val_loss"
    judge:      the series that a verdict goes by, where the finding puts the run's own score in doubt; "" for none
    severity:   a "note" is said, but is no reason to change anything
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    message: str
    numbers: tuple[Number, ...]
    confidence: float = Field(ge=0.0, le=1.0)
    first_step: str = ""
    since: int | None = None
    layers: tuple[str, ...] = ()
    metric: str | None = None
    judge: str | None = None
    confirmed_by: tuple[str, ...] = ()  # probes and experiments
    severity: Literal["problem", "note"] = "problem"

    rule: str = ""
    remedies: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()  # rules whose symptoms this one accounts for
    explained_by: str | None = None
    supported_by: tuple[str, ...] = ()  # lines of the script's source: "line 12: …"
    at_once: bool = False  # what it saw cannot be taken back: a live screen says it without a second look
    raised: int | None = None  # epoch in which a live screen said it; None where none followed the run


class Outcome(BaseModel):
    """What came of one rule on one run."""

    model_config = ConfigDict(frozen=True)

    rule: str
    result: Literal["fired", "clear", "not_applicable", "crashed"]
    finding: Finding | None = None
    missing: str | None = None
    error: str | None = None
