"""More training data would help clearly: the learning curve is still rising where the data end.

## What it does

Nothing is ever concluded from the number of samples: it takes an experiment. There are two.

- `data_fractions`: `advisor fix` trains on a quarter and a half of the training data and extrapolates the error to
  twice as many. Fires where the expected gain is more than twice its own uncertainty, takes away at least a tenth of
  the error and is worth a point of the score, and the training data are fit at least twice as well as validation.
- `reference`, in every run: a plain reference (nearest neighbours, kernel ridge regression) predicts training samples
  from the others, and from half of them. Where the network knows its training data by heart, validation is far behind,
  and the reference itself gains clearly by the second half of the data, the want of data is said less surely.

Without either the rule is not applicable.

## Why it hurts

Variance that comes from too few samples is lowered by regularisation only so far.

## Example

    x, y = x[:60], y[:60]  # of 1,797

## When it is wrong

Three shares and a few seeds determine a curve badly; the width that is given is honest and often wide, and then the
rule is silent. New data of another kind than the old may bring more than the extrapolation says, near duplicates
less.

## References

- Hestness et al., Deep Learning Scaling is Predictable, Empirically, 2017: the error falls as a power of the number
  of samples, with exponents between 0.07 and 0.35 in four domains, so that twice the data take away 5 % to 22 % of
  it. https://arxiv.org/abs/1712.00409
- scikit-learn, Validation curves, section Learning curve: how much more data would help.
  https://scikit-learn.org/stable/modules/learning_curve.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.evidence import Missing
from advisor.metric import guess_mode
from advisor.progress import end


@rule(
    kind="fit",
    needs=[],
    optional=["probe.data_fractions", "probe.reference", "clean_train_score", "val_score"],
    probes=["data_fractions"],
    remedies=[
        "augmentation",
        "token_dropout",
        "masking",
        "mixup",
        "cutmix",
        "dropout",
        "weight_decay",
        "trivial_augment",
        "token_swap",
        "synonym_replacement",
        "sentence_shuffling",
        "average_weights",
        "width",
    ],
    explains=["overfitting"],
)
def data_scarcity(
    run: Evidence,
    *,
    clear: Annotated[float, Convention("two standard deviations of the extrapolated gain")] = 2.0,
    share: Annotated[float, Convention("within the 5 % to 22 % of a doubling, by Hestness et al., 2017")] = 0.1,
    least: Annotated[float, Convention("one point of the score: less is not worth collecting data for")] = 0.01,
    fit: Annotated[float, Convention("half of the validation error: the rest is not a matter of more data")] = 0.5,
    closes: Annotated[
        float, Convention("a third of the gap by one doubling: two more would close it, so data come before all else")
    ] = 0.33,
    heart: Annotated[float, Convention("nine tenths of the validation error cannot be seen in training")] = 0.1,
    wide: Annotated[float, Convention("ten points of validation error: a third of it is worth collecting for")] = 0.1,
    rising: Annotated[float, Convention("five points by doubling the data, for the reference")] = 0.05,
) -> Finding | None:
    if run.has("probe.data_fractions"):
        return _measured(run, clear=clear, share=share, least=least, fit=fit, closes=closes)
    return _by_reference(run, clear=clear, heart=heart, wide=wide, rising=rising)


def _by_reference(run: Evidence, *, clear: float, heart: float, wide: float, rising: float) -> Finding | None:
    probe = run.table("probe.reference")
    gain, error = _number(probe.get("gain")), _number(probe.get("error"))
    train, val = run.curve("clean_train_score").last, end(run.curve("val_score").values)
    if not math.isfinite(train + val):
        return None
    if not gain > max(rising, clear * error) or 1.0 - val < wide or 1.0 - train > heart * (1.0 - val):
        return None
    name = "R²" if run.info.task == "regression" else "accuracy"
    text = f"a plain reference gains {gain:.3f} ± {error:.3f} by the second half of the data"
    return Finding(
        message=f"There are too few training data: they are known by heart ({name} {train:.3f}, validation {val:.3f}), "
        f"and {text}.",
        numbers=(
            Number(text=text, value=gain, threshold=max(rising, clear * error)),
            Number(text=f"validation error {1.0 - val:.3f}", value=1.0 - val, threshold=wide),
        ),
        confidence=0.75,  # below overfitting where validation got worse: then a shorter training helps at once
        first_step="Collect or label more data; until then augment those that you have. `advisor fix` measures what "
        "doubling them should bring.",
        confirmed_by=("reference",),
    )


def _measured(run: Evidence, *, clear: float, share: float, least: float, fit: float, closes: float) -> Finding | None:
    probe = run.table("probe.data_fractions")
    gain, width = _number(probe.get("doubling_gain")), _number(probe.get("doubling_gain_sd"))
    scores, fractions, metric = probe.get("scores"), probe.get("fractions"), str(probe.get("metric"))
    if not isinstance(scores, list) or not isinstance(fractions, list) or not scores:
        raise Missing("probe.data_fractions")
    now = _number(scores[-1])
    relative = guess_mode(metric) == "min"
    error = now if relative else 1.0 - now
    if error <= 0 or gain < clear * width or gain < share * error or (not relative and gain < least):
        return None
    gap = None
    if run.has("clean_train_score") and run.has("val_score"):
        train, val = run.curve("clean_train_score").last, end(run.curve("val_score").values)
        if 1.0 - train > fit * (1.0 - val):
            return None
        gap = train - val
    first = gap is None or relative or gain > closes * gap
    pairs = zip(fractions, scores, strict=True)
    shown = ", ".join(f"{_number(score):.3f} on {_number(part):.0%}" for part, score in pairs)
    return Finding(
        message=f"There are too few training data: {metric} is {shown} of them, and doubling them should bring "
        f"{gain:+.3f} ± {width:.3f}.",
        numbers=(
            Number(text=f"expected gain {gain:.3f} ± {width:.3f}", value=gain, threshold=clear * width),
            Number(text=f"{gain / error:.0%} of the error", value=gain / error, threshold=share),
        ),
        confidence=0.97 if first else 0.7,  # above or below overfitting, whose surest finding has 0.95
        first_step="Collect or label more data; until then augment those that you have.",
        confirmed_by=("data_fractions",),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Missing("probe.data_fractions")
    return float(value)
