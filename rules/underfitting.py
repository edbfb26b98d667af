"""The model is too small for its task: it does not fit even the data that it is trained on.

## What it does

From the curves alone a model that is too small and data whose noise sets the limit look exactly alike: more than a
tenth of the training data wrong in eval mode, validation hardly worse, the loss settled. Two things tell them apart:

- a linear layer is too narrow for the number of classes: w units that are on or off tell at most 2^w classes apart;
- a plain reference (nearest neighbours, kernel ridge regression; the probe `reference`) predicts samples that it has
  not seen better than the network fits those that it was trained on, and those of validation. Noise would stop the
  reference as well.

Where neither is so, the rule says in a note that it cannot tell, and changes nothing. A model that is hardly better
than guessing is left to other rules, unless the reference knows better: a run that falls so far short of what its data
allow is never called healthy, also where no rule knows why. Where zeros in place of the inputs move no output (the
probe `zeroed_inputs`), it says so.

## Why it hurts

Neither more data nor regularisation nor more epochs helps: the error is there on the training data already.

## Example

    model = nn.Sequential(nn.Linear(20, 2), nn.Tanh(), nn.Linear(2, 9))  # nine classes through two units

## When it is wrong

Classes that lie in order along one or two directions can be told apart through a narrow layer, given time. Widths are
read from the parameters of linear layers with a bias, backwards from the output: what lies before a convolution or a
recurrent layer is not seen. Too strong a regularisation, destructive augmentation and a wrong loss show the same
curves; where a rule knows such a cause, this finding is only its symptom. There is no reference for sequences of
tokens, for several inputs and for several targets a sample.

## References

- Stanford CS231n, Neural Networks 3: "when the validation accuracy tracks the training accuracy fairly well. This
  case indicates that your model capacity is not high enough". https://cs231n.github.io/neural-networks-3/#accuracy
- Goodfellow et al., Deep Learning, 2016, section 11.3: with a poor fit of the training data try a larger model and
  better tuning; where these fail, the data may be too noisy or lack what is needed.
  https://www.deeplearningbook.org/contents/guidelines.html
"""

from __future__ import annotations

import math
from typing import Annotated

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import end, initial_loss, is_finite, pace, share_error, skill

FEWEST = 10  # epochs: the last quarter of fewer is one or two, and says little of whether a curve has settled


@rule(
    kind="fit",
    needs=["train_loss", "clean_train_score", "val_score"],
    optional=[
        "step_loss",
        "chance_score",
        "classes",
        "probe.reference",
        "probe.zeroed_inputs",
        "parameters",
        "trainable_parameters",
    ],
    probes=["overfit_batch"],
    remedies=["batch_norm", "optimizer", "more_epochs", "width"],
)
def underfitting(
    run: Evidence,
    *,
    error: Annotated[float, Measured("fixtures/underfitting/faulty.py: 0.48; its fixed twin 0.00")] = 0.1,
    narrow: Annotated[float, Convention("w units that are on or off tell at most 2**w classes apart")] = 1.0,
    behind: Annotated[float, Convention("ten points: less may be what the model is not made for")] = 0.1,
    clear: Annotated[float, Convention("three standard errors of the reference's score: 1 in 740 by chance")] = 3.0,
    variance: Annotated[float, Convention("two thirds of the validation error are there in training already")] = 0.33,
    learned: Annotated[float, Convention("a fifth of the way from guessing: below, it does not learn at all")] = 0.2,
    settled: Annotated[float, Convention("a tenth of the average speed: for a note only")] = 0.1,
) -> Finding | None:
    losses, train, val = run.curve("train_loss"), run.curve("clean_train_score"), run.curve("val_score")
    if not is_finite(losses, train, val):
        return None
    wrong, reached = 1.0 - train.last, end(val.values)
    if wrong < error or train.last - reached > variance * (1.0 - reached):
        return None
    reference = None if _frozen(run) else _reference(run, clear)
    # training may be the harder part, of other sizes or augmented: what does well on new samples is not too small
    fits = max(train.last, reached)
    held = reference is not None and reference[0] - fits > max(behind, clear * reference[1])
    learns = not run.has("chance_score") or skill(run) >= learned
    if not learns and not held:
        return None
    name = "R²" if run.info.task == "regression" else "accuracy"
    text = f"clean train {name} {train.last:.3f}, validation {reached:.3f}"
    numbers: tuple[Number, ...] = (Number(text=text, value=wrong, threshold=error),)
    found = _narrowest(run)
    if found is not None:
        layer, width, classes = found
        if width < narrow * math.log2(classes):
            return Finding(
                message=f"The model is too small: training {name} is only {train.last:.3f}, and {classes} classes pass "
                f"through the {width} unit{'s' if width > 1 else ''} before {layer}.",
                numbers=(
                    *numbers,
                    Number(text=f"{width} units for {classes}", value=width, threshold=math.log2(classes)),
                ),
                confidence=0.85,
                first_step=f"Widen the layer before {layer} to at least {classes} units, or several times as many.",
                layers=(layer,),
            )
    still = run.epochs >= FEWEST and pace(initial_loss(run), losses.values) <= settled
    over = run.info.epochs is not None and run.epochs >= run.info.epochs
    if reference is not None and held and (still or over):
        text = f"a plain reference {reference[0]:.3f} ± {reference[1]:.3f} on samples that it has not seen"
        known = f"Training {name} is {train.last:.3f}, where a plain reference reaches {reference[0]:.3f}"
        numbers = (*numbers, Number(text=text, value=reference[0] - train.last, threshold=behind))
        if run.has("probe.zeroed_inputs") and run.table("probe.zeroed_inputs").get("ignored") is True:
            return Finding(
                message=f"The model does not use its inputs: with zeros in their place no output moves. {known}.",
                numbers=numbers,
                confidence=0.7,
                first_step="Print what leaves each layer for two samples, and look for the first where they are alike.",
                confirmed_by=("reference", "zeroed_inputs"),
            )
        return Finding(
            message=f"{known} on samples that it has not seen: the model is too small, or something holds it back.",
            numbers=numbers,
            confidence=0.7 if still and learns else 0.55,  # that it does not fit is sure, and not why
            first_step="Make the model wider or deeper, and take regularisation away.",
            confirmed_by=("reference",),
        )
    if not still:
        return None
    return Finding(
        message=f"Training {name} has settled at {train.last:.3f}, hardly better than validation: either the model or "
        "noise in the data sets the limit, and the curves cannot tell which.",
        numbers=numbers,
        confidence=0.3,
        first_step="Train a model twice as wide for comparison; if it is no better, this is what the data give.",
        severity="note",
    )


def _frozen(run: Evidence) -> bool:
    """Whether parts of the model are kept as they are on purpose: it fits as well as they allow."""
    if not run.has("parameters") or not run.has("trainable_parameters"):
        return False
    return run.number("trainable_parameters") < run.number("parameters")


def _reference(run: Evidence, clear: float) -> tuple[float, float] | None:
    """The reference's score and its standard error; None where it has learnt nothing itself, as with one rare class."""
    if not run.has("probe.reference"):
        return None
    score, samples = (run.table("probe.reference").get(name) for name in ("score", "samples"))
    if not isinstance(score, float) or not isinstance(samples, int):
        return None
    error = share_error(min(1.0, max(0.0, score)), samples)
    return (score, error) if score - run.entry("probe.reference", "chance", 0.0) > clear * error else None


def _narrowest(run: Evidence) -> tuple[str, int, int] | None:
    """(layer, units that enter it, classes) of the narrowest linear layer, read backwards from the output.

    A linear layer from w to o units has o (w + 1) parameters; what enters the last one left the one before.
    """
    if run.info.task != "multiclass" or not run.has("classes"):
        return None
    classes = int(run.number("classes"))
    outputs, found = classes, list[tuple[int, str]]()
    for layer in reversed(run.info.layers):
        if "Norm" in layer.kind:
            continue
        if layer.kind != "Linear" or layer.parameters % outputs:
            break
        width = layer.parameters // outputs - 1
        if width < 1:
            break
        found.append((width, layer.name))
        outputs = width
    # The last one found takes the inputs themselves: their number is the data's, not the model's.
    hidden = found[:-1] if found and found[-1][1] == run.info.layers[0].name else found
    if not hidden:
        return None
    width, name = min(hidden)
    return name, width, classes
