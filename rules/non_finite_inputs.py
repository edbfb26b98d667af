"""NaN or infinity in the data: the loss stops being a number with the first batch that holds one.

## What it does

Runs only after a loss was not a number. Then the data set is read once through (for at most a second, its random
generators put back) and every input and target is looked at; so is what the model got, of the batches that were read,
where a division in the loop itself shows. Fires where either holds NaN or infinity.

Where the data set holds some but so many samples as should have shown them reached the model clean, the loop removes
them itself, and the rule is silent. A mask of 0 and -inf, as attention takes it, is no fault.

## Why it hurts

One missing value makes the loss of its batch NaN, that makes every gradient NaN, and one step with them every weight.
No later batch repairs it.

## Example

    x = pandas.read_csv("measurements.csv").values  # empty fields become NaN

`x = (x - x.mean(0)) / x.std(0)` makes some as well, of a column that is constant.

## When it is wrong

A data set that makes its samples at random may give NaN so rarely that a second look finds none; then
`non_finite_loss` is all that is said. Of an `IterableDataset` only the batches that were read are known.

## References

- pandas, Working with missing data: empty fields of a file become NaN.
  https://pandas.pydata.org/docs/user_guide/missing_data.html
- scikit-learn, Imputation of missing values. https://scikit-learn.org/stable/modules/impute.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.evidence import Missing
from advisor.record import Json


@rule(
    kind="signal",
    needs=["train_loss"],
    optional=["non_finite", "batch_size"],
    remedies=["fill_missing"],
    explains=[
        "data_scarcity",
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "non_finite_gradients",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
    at_once=True,
)
def non_finite_inputs(
    run: Evidence,
    *,
    expected: Annotated[
        float, Convention("samples that should have shown it, had they not been cleaned: by chance none of 7 in 1,000")
    ] = 7.0,
) -> Finding | None:
    if not run.has("non_finite"):
        return None  # every loss was a number
    found = run.table("non_finite")
    phase = "validation" if found.get("phase") == "val" else "training"
    data = found.get("data")
    given, batches = _pair(found.get("given"))
    targets, kept = _pair(found.get("kept_targets"))
    if phase == "training" and given and not (isinstance(data, dict) and _count(data.get("inputs"))):
        return _finding(found, f"{given} of {batches} batches that the model got hold", "NaN or infinity", given, {})
    if isinstance(data, dict):
        checked, bad_inputs, bad_targets = (_count(data.get(name)) for name in ("checked", "inputs", "targets"))
        samples = batches * run.number("batch_size") if run.has("batch_size") else 0.0
        cleaned = phase == "training" and not given and bad_inputs / max(1, checked) * samples >= expected
        if bad_inputs and not cleaned:
            side = f"{bad_inputs:,} of {checked:,} {phase} inputs hold"
            return _finding(found, side, str(data.get("kind")), bad_inputs, data)
        if bad_targets:
            side = f"{bad_targets:,} of {checked:,} {phase} targets hold"
            return _finding(found, side, str(data.get("kind")), bad_targets, {})
    if targets and phase == "training":
        return _finding(found, f"the targets of {targets} of {kept} batches hold", "NaN or infinity", targets, {})
    return None


def _finding(found: dict[str, Json], side: str, kind: str, count: int, data: dict[str, Json]) -> Finding:
    columns = data.get("columns")
    named = (
        f", in column{'s' if len(columns) > 1 else ''} {_listed(columns)}"
        if isinstance(columns, list) and columns
        else ""
    )
    step = found.get("step")
    when = f"from step {step} on" if isinstance(step, int) else f"since epoch {found.get('epoch')}"
    text = f"{side} {kind}"
    return Finding(
        message=f"{text[0].upper()}{text[1:]}{named}; the loss is not a number {when}.",
        numbers=(Number(text=text, value=float(count), threshold=0.0),),
        confidence=0.99,  # a fact; that it is the cause is all but certain
        first_step="Fill or leave out the missing values before the first epoch; "
        "if they come from a scaling, look for a division by zero.",
        since=step if isinstance(step, int) else None,
    )


def _listed(columns: list[Json]) -> str:
    names = [str(column) for column in columns]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _pair(value: Json) -> tuple[int, int]:
    if value is None:
        return 0, 0
    if not isinstance(value, list) or len(value) != 2:
        raise Missing("non_finite")
    return _count(value[0]), _count(value[1])


def _count(value: Json) -> int:
    if not isinstance(value, int):
        raise Missing("non_finite")
    return value
