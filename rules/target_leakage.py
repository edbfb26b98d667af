"""The inputs contain what is to be predicted.

## What it does

Fires in two cases, both found by probes:

- a sequence model that predicts the next input can see it: the targets are the inputs one position later, and an
  output changes when only later inputs do (`future_inputs`). The usual cause is a missing causal mask, or a
  bidirectional network;
- one column of the inputs alone determines the target, to the precision of its numbers (`single_feature`): an
  identifier that was given out by class, a copy of the target, something that is measured after it is known.

## Why it hurts

Training and validation scores are splendid and mean nothing: where the model is used, the answer is not among its
inputs. The right repair makes the score fall.

## Example

    tokens = batch[:, :-1]
    targets = batch[:, 1:]
    logits = transformer(tokens)          # no mask: position t attends to t + 1, which is its target

## When it is wrong

A task that really is a function of one of its columns looks the same, such as a toy problem y = 2 x. For numbers the
rule therefore asks for a relation that is exact to rounding, and it needs two columns at least.

## References

- Vaswani et al., Attention Is All You Need, 2017, section 3.1: masking ensures "that the predictions for position i can
  depend only on the known outputs at positions less than i". https://arxiv.org/abs/1706.03762
- Kaufman et al., Leakage in Data Mining: Formulation, Detection, and Avoidance, KDD 2011.
  https://doi.org/10.1145/2020408.2020496
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing


@rule(kind="wiring", needs=[], optional=["probe.future_inputs", "probe.single_feature"], explains=["overfitting"])
def target_leakage(
    run: Evidence,
    *,
    change: Annotated[
        float, Measured("fixtures/target_leakage: below 1e-6 of the outputs' spread with a mask, above 0.1 without")
    ] = 1e-3,
    unlike: Annotated[
        float, Convention("a tenth of the positions may be padding or the end of a sequence; a chance match is rare")
    ] = 0.1,
    left: Annotated[
        float, Convention("share of the variance within classes: of measured quantities none is that pure")
    ] = 1e-3,
    rounding: Annotated[float, Convention("share of the variance that rounding to float32 may leave of a copy")] = 1e-6,
) -> Finding | None:
    if not run.has("probe.future_inputs") and not run.has("probe.single_feature"):
        raise Missing("probe.single_feature")
    return _future(run, change, unlike) or _column(run, left, rounding)


def _future(run: Evidence, change: float, unlike: float) -> Finding | None:
    if not run.has("probe.future_inputs"):
        return None
    probe = run.table("probe.future_inputs")
    depends, shifted = probe.get("depends"), probe.get("shifted")
    if not isinstance(depends, float) or not isinstance(shifted, float):
        return None
    if not depends > change or not shifted > 1.0 - unlike:
        return None
    return Finding(
        message=f"The model sees what it has to predict: {shifted:.0%} of the targets are the next input, and outputs "
        f"change by {depends:.2g} of their standard deviation when only later inputs do.",
        numbers=(
            Number(text=f"outputs change by {depends:.2g} with later inputs", value=depends, threshold=change),
            Number(text=f"{shifted:.0%} of the targets are the next input", value=shifted, threshold=1.0 - unlike),
        ),
        confidence=0.97,
        judge="",
        first_step="Give the attention a causal mask (is_causal=True, or a triangular mask), or make the network "
        "one-directional; the score will fall, to what it really is.",
        confirmed_by=("future_inputs",),
    )


def _column(run: Evidence, left: float, rounding: float) -> Finding | None:
    if not run.has("probe.single_feature"):
        return None
    probe = run.table("probe.single_feature")
    explained, column, columns = (probe.get(name) for name in ("explained", "column", "columns"))
    if not isinstance(explained, float) or not isinstance(columns, int):
        return None
    allowed = rounding if run.info.task == "regression" else left
    if not 1.0 - explained < allowed:
        return None
    return Finding(
        message=f"Column {column} of the {columns} inputs alone determines the target: it explains "
        f"{explained:.4%} of its variance.",
        numbers=(Number(text=f"column {column} explains {explained:.4%}", value=explained, threshold=1.0 - allowed),),
        confidence=0.85,
        first_step=f"Find out what column {column} is, and whether it is known before the target is; if not, drop it.",
        confirmed_by=("single_feature",),
    )
