"""The training data are learnt by heart and validation stays at chance: labels and inputs do not belong together.

## What it does

Fires where the model is more than a third of the way from guessing to a perfect fit of the training data, yet
validation ends no better than chance by more than the standard errors of guessing, and was never a seventh of the way
above it. For classes, the mean recall must be at chance too, so that rare classes do not look like it.

A model that has only begun to learn by heart, its training score above guessing by more than standard errors, is enough
where a plain reference (nearest neighbours, kernel ridge regression) predicts captured training samples from each other
no better than guessing either: neither finds a rule. A model that fits nothing at all is left to other rules: there
everything between the data and the loss may be the reason, unless the inputs hold nothing: each feature that the model
is given has the same value for every sample. Where the reference does predict the training samples from each other,
their labels belong to them, and the fault is one of validation: see `train_val_mismatch`.

## Why it hurts

A network can learn random labels. All it learns then is which sample is which.

## Example

    x = x[torch.randperm(len(x))]  # the labels were not shuffled with them

## When it is wrong

Some dozen training samples of a hard problem can be learnt by heart without a trace of generalisation. Validation
data that are prepared in another way or belong to other classes give the same picture; where that can be seen,
`train_val_mismatch` says so. A reference is blind to rules such as parity, and to what only an order of many inputs
tells: a model that is slow to find such a rule looks the same in its first epochs.

## References

- Zhang et al., Understanding deep learning requires rethinking generalization, ICLR 2017: networks fit random labels
  perfectly and are at chance on test data. https://arxiv.org/abs/1611.03530
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule
from advisor.progress import end, is_finite, share_error, skill, smooth


@rule(
    kind="data",
    needs=["clean_train_score", "val_score", "chance_score"],
    optional=["val_balanced_accuracy", "classes", "val_samples", "clean_train_samples", "probe.reference", "inputs"],
    explains=[
        "data_scarcity",
        "dead_units",
        "label_noise",
        "learning_rate_too_low",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
    ],
)
def no_signal(
    run: Evidence,
    *,
    learnt: Annotated[float, Convention("a third of the way to a perfect fit: not by guessing")] = 0.33,
    clear: Annotated[float, Convention("standard errors of guessing: 1 in 740 by chance")] = 3.0,
    hint: Annotated[
        float,
        Convention("of the way to perfect, in any epoch: like inputs are mistaken alike, so that luck comes in lumps"),
    ] = 0.15,
    follows: Annotated[float, Convention("of the way from guessing, by the reference: the labels follow")] = 0.5,
    epochs: Annotated[int, Convention("epochs: fewer may end before anything general is learnt")] = 3,
) -> Finding | None:
    val = run.curve("val_score")
    reached = skill(run)
    if len(val) < epochs or not is_finite(val):
        return None
    chance = run.number("chance_score")
    blind = math.nan if reached > learnt else _blind(run, chance, clear)
    constant = not reached > learnt and _constant(run)
    if not reached > learnt and math.isnan(blind) and not constant:
        return None
    if _reference_skill(run, chance) > follows:
        return None
    samples = run.number("val_samples") if run.has("val_samples") else math.inf
    regression = run.info.task == "regression"
    error = _error(run, chance, samples)
    if not 1.0 - chance > 2 * clear * error:
        return None  # nearly all samples are of one class: to be better than guessing would not show
    last, best = end(val.values), float(smooth(val.values).max())
    if last > chance + clear * error or best > chance + hint * (1.0 - chance):
        return None
    if run.has("val_balanced_accuracy") and run.has("classes"):
        even = 1.0 / run.number("classes")
        recalls = run.curve("val_balanced_accuracy").values
        if end(recalls) > even + clear * share_error(even, samples) or smooth(recalls).max() > even + hint * (
            1.0 - even
        ):
            return None
    train = run.curve("clean_train_score").last
    name = "R²" if regression else "accuracy"
    if constant:
        return Finding(
            message=f"There is no signal: all inputs are the same, each of the {run.entry('inputs', 'features'):.0f} "
            f"features for every sample, and validation {name} is {last:.3f} where guessing has {chance:.3f}.",
            numbers=(Number(text=f"validation {name} {last:.3f}", value=last, threshold=chance + clear * error),),
            confidence=0.95,
            first_step="Look at what the inputs are just before the model: something on the way there overwrites them.",
            since=0,
        )
    reference = "" if math.isnan(blind) else f", and a plain reference reaches {blind:.3f}"
    return Finding(
        message=f"There is no signal: training {name} is {train:.3f}, and validation {name} is {last:.3f}, "
        f"at best {best:.3f}, where guessing has {chance:.3f}{reference}: the labels do not seem to belong to the "
        "inputs.",
        numbers=(
            Number(text=f"validation {name} {last:.3f}", value=last, threshold=chance + clear * error),
            Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=learnt),
        ),
        confidence=0.85 if reached > 2 * learnt else 0.7 if reached > learnt else 0.6,
        first_step="Look at ten samples with their labels, as the loader gives them, and check that both were "
        "shuffled, sorted and filtered alike.",
        since=0,
    )


def _error(run: Evidence, chance: float, samples: float) -> float:
    """Standard error of the score of guessing; of R² two per cent: so little of the variance is nothing."""
    return 0.02 if run.info.task == "regression" else share_error(chance, samples)


def _reference_skill(run: Evidence, chance: float) -> float:
    """How far the reference is from guessing to perfect on training samples; 0 where it was not asked."""
    if not run.has("probe.reference"):
        return 0.0
    guess = run.entry("probe.reference", "chance", chance)
    return (run.entry("probe.reference", "score") - guess) / (1 - guess) if guess < 1 else 0.0


def _constant(run: Evidence) -> bool:
    """Whether no feature of the inputs varies, in training and in validation."""
    if not run.has("inputs"):
        return False
    inputs = run.table("inputs")
    return inputs.get("typical_shift") is None and inputs.get("spread") is None and inputs.get("shift") == 0


def _blind(run: Evidence, chance: float, clear: float) -> float:
    """The score of a reference that finds nothing where the model learns by heart already; NaN where it is not so."""
    if not run.has("probe.reference") or not run.has("clean_train_samples"):
        return math.nan
    score, samples = run.entry("probe.reference", "score"), run.entry("probe.reference", "samples")
    guess = run.entry("probe.reference", "chance", chance)
    learns = run.curve("clean_train_score").last - chance
    if not learns > clear * _error(run, chance, run.number("clean_train_samples")):
        return math.nan
    return math.nan if score > guess + clear * _error(run, guess, samples) else score
