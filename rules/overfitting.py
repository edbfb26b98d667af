"""The validation error rises, or has nothing left to gain, while the training data are fit better and better.

## What it does

Fires where training goes on getting better and the clean gap (training data in eval mode against validation) is
larger than noise, and one of three things has happened, in each of the last epochs and not in one:

- the validation score fell from its best by more than it scatters;
- the validation loss rose by a fifth from its minimum: over-confidence. The score may stand still meanwhile, since a
  sample that is wrong costs the more the surer the model is; the finding then names `val_loss` as what is harmed;
- the training data are fit all but perfectly, validation is ten points behind and no longer improves: nothing is left
  to learn from these data.

One bad epoch is not enough, and neither is a gap of fixed size: a network that knows its training data by heart and
is right on 97 % of the rest is healthy. The noise is the scatter of the curve from epoch to epoch, and the binomial
error of a score over so many samples. Where early stopping restored the best weights, only what came before them
counts.

## Why it hurts

The weights at the end are worse than weights that the run already had, or no better for all the epochs since.

## Example

    x, y = make_classification(400, n_features=30, flip_y=0.2)   # a fifth of the labels is random
    model = nn.Sequential(nn.Linear(30, 256), nn.ReLU(), nn.Linear(256, 2))

    for epoch in range(80):  # training accuracy 1.00; validation loss has been rising since epoch 10

## When it is wrong

Validation data of another kind than the training data (other preprocessing, another split) open a gap without any
overfitting; then validation was never good, and the rule is silent where its best loss is no better than the first
one. A validation set of some dozen samples can hardly show a difference of ten points. A rising loss can go with a
score that still improves; it is reported as what it is, harm to the loss.

## References

- Deep Learning Tuning Playbook (Godbole et al., 2023): "Problematic overfitting occurs when the validation error
  starts increasing at some point during training." https://github.com/google-research/tuning_playbook
- Prechelt, Early stopping - but when?, 1998: real validation curves have many local minima; criteria that wait for
  the error to rise in several successive strips. https://doi.org/10.1007/3-540-49430-8_3
- Guo et al., On Calibration of Modern Neural Networks, ICML 2017: networks "can overfit to NLL without overfitting to
  the 0/1 loss". https://proceedings.mlr.press/v70/guo17a.html
- Stanford CS231n, Neural Networks 3: the gap between training and validation accuracy indicates the amount of
  overfitting. https://cs231n.github.io/neural-networks-3/#accuracy
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import LAST, Values, end, initial_loss, is_finite, noise, share_error, smooth


@dataclass(frozen=True, slots=True)
class Turn:
    """How an error went up again: when its smooth curve was best, and by how much each of the last epochs is worse."""

    best: int
    worse: float
    noise: float  # standard deviation of one epoch


@rule(
    kind="fit",
    needs=["train_loss", "val_loss"],
    optional=[
        "step_loss",
        "val_score",
        "clean_train_score",
        "chance_score",
        "val_samples",
        "clean_train_samples",
        "best_weights_epoch",
    ],
    remedies=[
        "augmentation",
        "token_dropout",
        "masking",
        "mixup",
        "cutmix",
        "dropout",
        "weight_decay",
        "label_smoothing",
        "batch_norm",
        "early_stopping",
        "l1",
        "trivial_augment",
        "token_swap",
        "synonym_replacement",
        "sentence_shuffling",
        "average_weights",
        "width",
    ],
    probes=["data_fractions"],
    explains=["data_scarcity"],
    contradicts=["over_regularised", "too_few_epochs", "underfitting"],
)
def overfitting(
    run: Evidence,
    *,
    patience: Annotated[int, Convention("as many epochs as the smoothing averages: no single epoch decides")] = 3,
    rise: Annotated[
        float, Measured("at most 0.02 with a gap over fixtures/healthy, 0.98 in fixtures/overfitting/faulty.py")
    ] = 0.2,
    drop: Annotated[float, Convention("two points: less is not worth another training")] = 0.02,
    gap: Annotated[float, Convention("five points: of less, most is the price of any finite training set")] = 0.05,
    wide: Annotated[
        float, Measured("fixtures/healthy: gaps up to 0.04 where the training data are fit perfectly")
    ] = 0.1,
    exhausted: Annotated[float, Convention("nine tenths of the validation error cannot be seen in training")] = 0.1,
    clear: Annotated[float, Convention("three standard deviations: 1 in 740 by chance for a normal error")] = 3.0,
) -> Finding | None:
    train, val = run.curve("train_loss"), run.curve("val_loss")
    count = _counted(run, len(val))
    if count <= patience or not is_finite(train, val):
        return None
    loss = _turn(val.values[:count])
    least, first = float(val.values[:count].min()), initial_loss(run)
    learned = least <= first or (least <= first * (1.0 + rise) and _above_guessing(run, count, clear))
    if not learned or train.values[:count].argmin() < loss.best:
        return None  # validation never was good; or training itself got worse: not a matter of fit
    scored = _scores(run, count)
    lift = loss.worse / least if least > 0 else 0.0
    loss_rose = lift > rise and loss.worse > clear * loss.noise and count - 1 - loss.best >= patience
    if scored is None:
        behind = end(val.values[:count]) > end(train.values[:count])
        return _rising(run, loss, lift, rise, None) if loss_rose and behind else None
    if scored.gap < gap or scored.gap < clear * scored.error:
        return None
    fell = scored.turn.worse > max(drop, clear * scored.turn.noise) and count - 1 - scored.turn.best >= patience
    if loss_rose:
        finding = _rising(run, loss, lift, rise, scored)
        return finding.model_copy(update={"metric": None, "confidence": 0.95}) if fell else finding
    if fell:
        return _falling(run, scored, drop)
    if scored.gap > wide and 1.0 - scored.train < exhausted * (1.0 - scored.val) and scored.stalled:
        return _memorised(run, scored, wide)
    return None


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores at the end: training in eval mode, validation, the gap and its standard error."""

    train: float
    val: float
    error: float
    turn: Turn
    stalled: bool

    @property
    def gap(self) -> float:
        return self.train - self.val


def _counted(run: Evidence, epochs: int) -> int:
    """Epochs up to the one whose weights were restored."""
    if run.has("best_weights_epoch"):
        return min(epochs, int(run.number("best_weights_epoch")) + 1)
    return epochs


def _above_guessing(run: Evidence, count: int, clear: float) -> bool:
    """Whether validation's share of right answers says that something was learned, where its loss does not.

    On few samples a network can be sure of what it knows by heart before it is right about anything else.
    """
    if run.info.task == "regression" or not all(map(run.has, ("val_score", "chance_score", "val_samples"))):
        return False
    chance = run.number("chance_score")
    reached = end(run.curve("val_score").values[:count])
    return reached - chance > clear * share_error(chance, run.number("val_samples"))


def _turn(error: Values) -> Turn:
    curve = smooth(error)
    best = int(curve.argmin())
    return Turn(best, float(error[-LAST:].min() - curve[best]), noise(error))


def _scores(run: Evidence, count: int) -> Scores | None:
    if not run.has("val_score") or not run.has("clean_train_score"):
        return None
    val, train = run.curve("val_score"), run.curve("clean_train_score")
    if not is_finite(val, train):
        return None
    values = val.values[:count]
    now = end(values)
    sampling = 0.0
    if run.info.task != "regression":
        sizes = [run.number(name) if run.has(name) else math.inf for name in ("val_samples", "clean_train_samples")]
        sampling = math.hypot(share_error(now, sizes[0]), share_error(train.last, sizes[1]))
    curve, window = smooth(values), max(1, len(values) // 4)
    error = max(sampling, noise(values))
    return Scores(train.last, now, error, _turn(-values), bool(curve[-1] - curve[-1 - window] <= max(error, 1e-3)))


def _numbers(run: Evidence, scored: Scores) -> Number:
    name = "R²" if run.info.task == "regression" else "accuracy"
    text = f"clean train {name} {scored.train:.3f}, validation {scored.val:.3f}"
    return Number(text=f"{text}: a gap of {scored.gap:.3f} ± {scored.error:.3f}", value=scored.gap)


def _rising(run: Evidence, turn: Turn, lift: float, rise: float, scored: Scores | None) -> Finding:
    train, val = run.curve("train_loss"), run.curve("val_loss")
    since = int(val.at[turn.best])
    numbers = [Number(text=f"validation loss {lift:+.0%} since epoch {since}", value=lift, threshold=rise)]
    return Finding(
        message=f"Training loss keeps falling ({train.values[turn.best]:.3g} → {train.last:.3g}) while validation loss "
        f"has risen {lift:.0%} since epoch {since}.",
        numbers=(*numbers, _numbers(run, scored)) if scored else tuple(numbers),
        confidence=0.85,
        first_step="Augment the training data; where that cannot be done, add dropout.",
        since=since,
        metric="val_loss",
    )


def _falling(run: Evidence, scored: Scores, drop: float) -> Finding:
    since = int(run.curve("val_score").at[scored.turn.best])
    name = "R²" if run.info.task == "regression" else "accuracy"
    worse = scored.turn.worse
    return Finding(
        message=f"Validation {name} has fallen by {worse:.3f} since epoch {since} to {scored.val:.3f}, while that of "
        f"the training data is {scored.train:.3f}.",
        numbers=(Number(text=f"fell by {worse:.3f}", value=worse, threshold=drop), _numbers(run, scored)),
        confidence=0.9,
        first_step="Augment the training data; where that cannot be done, add dropout.",
        since=since,
    )


def _memorised(run: Evidence, scored: Scores, wide: float) -> Finding:
    name = "R²" if run.info.task == "regression" else "accuracy"
    return Finding(
        message=f"The training data are known by heart ({name} {scored.train:.3f}) and validation has stopped at "
        f"{scored.val:.3f}: a gap of {scored.gap:.3f}.",
        numbers=(_numbers(run, scored).model_copy(update={"threshold": wide}),),
        confidence=0.6,  # nothing got worse: more data or augmentation may help, a shorter training will not
        first_step="Find out whether more data would help: train on a half and a quarter of them; else augment.",
        since=int(run.curve("val_score").at[int(np.argmax(smooth(run.curve("val_score").values)))]),
    )
