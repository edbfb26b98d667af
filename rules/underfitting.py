"""The model is too small for its task: it does not fit even the data that it is trained on.

## What it does

Fires where more than a tenth of the training data are wrong in eval mode, validation is hardly worse, and a linear
layer is too narrow for the number of classes: C scores that come out of w units lie in a space of w dimensions, and
with w < C - 1 they cannot all be set freely. Only narrow layers count as evidence of too little capacity.

From the curves alone a model that is too small and data whose noise sets the limit look exactly alike: both scores
low, close together, flat. Where no layer is too narrow and the curve has settled, the rule says so in a note, and
changes nothing. A model that is hardly better than guessing is left to other rules: it is not too small, it does not
learn.

## Why it hurts

Neither more data nor regularisation nor more epochs helps: the error is there on the training data already.

## Example

    model = nn.Sequential(nn.Linear(20, 2), nn.Tanh(), nn.Linear(2, 9))  # nine classes through two units

## When it is wrong

Classes that lie in order along one or two directions can be told apart through a narrow layer, given time. Widths are
read from the parameters of linear layers with a bias, backwards from the output: what lies before a convolution or a
recurrent layer is not seen. Too strong a regularisation and destructive augmentation show the same curves.

## References

- Stanford CS231n, Neural Networks 3: "when the validation accuracy tracks the training accuracy fairly well. This
  case indicates that your model capacity is not high enough". https://cs231n.github.io/neural-networks-3/#accuracy
- Yang et al., Breaking the Softmax Bottleneck, ICLR 2018: the rank of the logits is bounded by the width before them.
  https://arxiv.org/abs/1711.03953
"""

from __future__ import annotations

from typing import Annotated

from advisor import Cited, Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import end, initial_loss, is_finite, pace, skill


@rule(
    needs=["train_loss", "clean_train_score", "val_score"],
    optional=["step_loss", "chance_score", "classes"],
    remedies=["batch_norm", "optimizer", "more_epochs"],
    explains=["slow_convergence", "too_few_epochs"],
)
def underfitting(
    run: Evidence,
    *,
    error: Annotated[float, Measured("fixtures/underfitting/faulty.py: 0.48; its fixed twin 0.00")] = 0.1,
    narrow: Annotated[float, Cited("Yang et al., 2018: w units give logits of rank w; C classes need C - 1")] = 1.0,
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
    if run.has("chance_score") and skill(run) < learned:
        return None
    name = "R²" if run.info.task == "regression" else "accuracy"
    text = f"clean train {name} {train.last:.3f}, validation {reached:.3f}"
    numbers = (Number(text=text, value=wrong, threshold=error),)
    found = _narrowest(run)
    if found is not None:
        layer, width, classes = found
        if width < narrow * (classes - 1):
            return Finding(
                message=f"The model is too small: training {name} is only {train.last:.3f}, and {classes} classes pass "
                f"through the {width} unit{'s' if width > 1 else ''} before {layer}.",
                numbers=(*numbers, Number(text=f"{width} units for {classes}", value=width, threshold=classes - 1)),
                confidence=0.85,
                first_step=f"Widen the layer before {layer} to at least {classes} units, or several times as many.",
                layers=(layer,),
            )
    if run.epochs < 2 or pace(initial_loss(run), losses.values) > settled:
        return None
    return Finding(
        message=f"Training {name} has settled at {train.last:.3f}, hardly better than validation: either the model or "
        "noise in the data sets the limit, and the curves cannot tell which.",
        numbers=numbers,
        confidence=0.3,
        first_step="Train a model twice as wide for comparison; if it is no better, this is what the data give.",
        severity="note",
    )


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
