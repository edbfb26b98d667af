"""The regularisation is so strong that the model is not let to fit even its training data.

## What it does

Fires where the training data are not fit, and one of two forces explains it:

- weight decay: the optimizer has one, over the run it alone would have shrunk the weights to less than a third
  (learning rate × weight decay × steps > 1), and the weights did shrink to less than half of their first length.
  Adam and its kin divide the decay by its own length where it is added to the gradient: each step then takes up to one
  learning rate off a weight where the decay is longer than the gradient of the data, however small both are. There
  that pull in the first half of the run has to be above 1, and learning rate × steps over a typical weight as well.
  The pull at the end is shown beside it;
- weight decay that does not shrink the weights, under SGD or a decoupled one such as AdamW's: it is as strong, the data
  were learnt in part, and a typical late step is as long as half of what the decay alone takes off the weights in one,
  or shorter. Then it is the decay that the data push against, whatever they say;
- dropout: more than three quarters of the units are dropped somewhere, and the loss with dropout is far above that of
  the same data in eval mode; or the model has given up, answers as by guessing, and with or without dropout the same.
  Not where a plain reference does not learn these data either.

Balance alone proves nothing: a network that has fit its data has a small gradient too, and any normalised one sits
where decay and gradient balance. There a step is a random one, of the relative length √(2 · learning rate · decay), and
the decay is a few hundredths of it. Shrinking or such a share, harm and a strength that can do it are needed together.

## Why it hurts

The optimum of the penalised loss is near zero, whatever the data say. More epochs, more data or more capacity do not
help.

## Example

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)  # 1e-4 was meant

## When it is wrong

A penalty that is added to the loss by hand is not seen. Where nothing can be learned, decay shrinks the weights as
well, and rightly.

## References

- Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019: what decay does under SGD and Adam.
  https://arxiv.org/abs/1711.05101
- Kosson, Messmer and Jaggi, Rotational Equilibrium: How Weight Decay Balances Learning Across Neural Networks, ICML
  2024: the length of a step where random steps and decay balance. https://arxiv.org/abs/2305.17212
- Srivastava et al., Dropout, JMLR 2014, section 7.3: with a fixed architecture the training error rises where few
  units are retained. https://jmlr.org/papers/v15/srivastava14a.html
- PyTorch, Adam, the algorithm: weight_decay is added to the gradient before the moments.
  https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html
- TheDeepChecker (Ben Braiek and Khomh, 2023): over-regularisation is one of its checks.
  https://github.com/thedeepchecker/thedeepchecker
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import end, evenly, is_finite, skill
from advisor.record import Json

NORMALISED = ("Adam", "Adamax", "Adadelta", "Adagrad", "NAdam", "RAdam", "RMSprop")  # decay goes through the division


@rule(
    kind="fit",
    needs=["train_loss", "clean_train_score", "chance_score"],
    optional=[
        "optimizer",
        "epoch_lr",
        "weight_norm",
        "grad_norm",
        "update_ratio",
        "dropout_rate",
        "clean_train_loss",
        "probe.reference",
    ],
    remedies=["weight_decay", "dropout"],
    explains=[
        "dead_units",
        "exploding_gradients",
        "label_noise",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "oscillating_loss",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def over_regularised(
    run: Evidence,
    *,
    fit: Annotated[
        float, Convention("seven tenths of the way from guessing to perfect: more is a matter of taste")
    ] = 0.7,
    pull: Annotated[float, Convention("lr × decay × steps: 1 leaves a third of a weight that nothing holds")] = 1.0,
    shrunk: Annotated[
        float, Measured("fixtures/over_regularised/faulty.py: to 0.00 of their length; its fixed twin grows")
    ] = 0.5,
    held: Annotated[
        float,
        Convention("decay over a typical late step; it is u / 2 where random steps of relative length u balance it"),
    ] = 0.5,
    dropped: Annotated[
        float, Convention("three quarters; 0.5 is usual and 0.8 the largest that is recommended for any")
    ] = 0.75,
    apart: Annotated[float, Convention("training loss over that of the same data in eval mode")] = 1.3,
    nothing: Annotated[float, Convention("a tenth of the way from guessing to perfect: as good as not learnt")] = 0.1,
) -> Finding | None:
    losses = run.curve("train_loss")
    reached = skill(run)
    if not is_finite(losses) or not reached <= fit:
        return None
    harm = Number(text=f"fit of the training data {reached:.2f} (0 is guessing)", value=reached, threshold=fit)
    return (
        _decay(run, harm, pull, shrunk)
        or _held(run, harm, pull, held, nothing)
        or _dropout(run, harm, dropped, apart, nothing)
    )


def _decay(run: Evidence, harm: Number, pull: float, shrunk: float) -> Finding | None:
    if not run.has("optimizer") or not run.has("weight_norm") or not run.has("epoch_lr"):
        return None
    groups = run.fact("optimizer")
    strongest = max(groups, key=_decays, default=None) if isinstance(groups, list) else None
    decay = _decays(strongest)
    norms = np.linalg.norm(np.nan_to_num(run.layers("weight_norm").values), axis=1)
    rate, name = float(np.mean(run.curve("epoch_lr").values)), "lr × weight_decay × steps"
    strength = rate * decay * run.steps
    if decay > 0 and isinstance(strongest, dict) and strongest.get("class") in NORMALISED:
        count = sum(layer.parameters for layer in run.info.layers)
        walk = rate * run.steps * math.sqrt(count) / max(norms[0], 1e-30)  # 1e-30: all weights are zero
        force = _pull(run, decay, early=True)
        strength, name = min((walk, "lr × steps over a typical weight"), (force, "early pull over the gradient"))
    remaining = float(norms[-1] / norms[0]) if norms[0] > 0 else 1.0
    if strength < pull or remaining > shrunk:
        return None
    return Finding(
        message=f"The weight decay of {decay:.3g} is too strong: the weights shrank to {remaining:.2g} of their first "
        f"length, and the training data are fit to {max(0.0, harm.value):.0%} only.",
        numbers=(
            Number(text=f"{name} {strength:.3g}", value=strength, threshold=pull),
            Number(text=f"weights at {remaining:.2g} of their first length", value=remaining, threshold=shrunk),
            harm,
            *_balance(run, decay),
        ),
        confidence=0.9,
        first_step=_divide(decay),
        since=0,
    )


def _held(run: Evidence, harm: Number, pull: float, held: float, nothing: float) -> Finding | None:
    """A decay that is most of every step, though the weights keep their length: the data push as hard."""
    if not all(run.has(name) for name in ("optimizer", "update_ratio", "epoch_lr")) or not harm.value > nothing:
        return None
    groups = run.fact("optimizer")
    strongest = max(groups, key=_decays, default=None) if isinstance(groups, list) else None
    if not isinstance(strongest, dict) or strongest.get("class") in NORMALISED:
        return None
    momentum = strongest.get("momentum") if strongest.get("class") == "SGD" else 0.0
    decay, rate = _decays(strongest), float(np.mean(run.curve("epoch_lr").values))
    taken = rate * decay / max(1.0 - (momentum if isinstance(momentum, float) else 0.0), 1e-9)  # 1e-9: it never forgets
    late = np.array_split(evenly(run.layers("update_ratio")), 2)[1]
    late = late[np.isfinite(late) & (late > 0)]
    if not len(late):
        return None
    step, strength = float(np.median(late)), rate * decay * run.steps
    share = taken / step
    if strength < pull or share < held:
        return None
    return Finding(
        message=f"The weight decay of {decay:.3g} is too strong: it takes {taken:.2g} of the weights in a step, where "
        f"a whole late step is {step:.2g} of them, and the training data are fit to {harm.value:.0%} only.",
        numbers=(
            Number(text=f"decay over a typical late step {share:.2g}", value=share, threshold=held),
            Number(text=f"lr × weight_decay × steps {strength:.3g}", value=strength, threshold=pull),
            harm,
        ),
        confidence=0.8,
        first_step=_divide(decay),
        since=0,
    )


def _divide(decay: float) -> str:
    return f"Divide the weight decay by a hundred, to {decay / 100:.1g}, or set it to 0 for a comparison."


def _balance(run: Evidence, decay: float) -> tuple[Number, ...]:
    """The pull at the typical late step, where it is known."""
    ratio = _pull(run, decay, early=False)
    return (Number(text=f"pull of the decay over the gradient {ratio:.2g}", value=ratio),) if ratio > 0 else ()


def _pull(run: Evidence, decay: float, *, early: bool) -> float:
    """Length of the decay over that of the gradient of the data, at the typical step of one half; 0 if not known."""
    if not run.has("grad_norm"):
        return 0.0
    gradients, weights = (np.linalg.norm(evenly(run.layers(n)), axis=1) for n in ("grad_norm", "weight_norm"))
    half = len(gradients) // 2
    part = slice(half) if early else slice(half, None)
    ratio = float(np.median(decay * weights[part] / np.maximum(gradients[part], 1e-30)))  # 1e-30: no gradient at all
    return ratio if np.isfinite(ratio) else 0.0


def _decays(group: Json) -> float:
    value = group.get("weight_decay") if isinstance(group, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _dropout(run: Evidence, harm: Number, dropped: float, apart: float, nothing: float) -> Finding | None:
    if not run.has("dropout_rate") or not run.has("clean_train_loss"):
        return None
    rate, clean = run.number("dropout_rate"), run.curve("clean_train_loss").last
    ratio = end(run.curve("train_loss").values) / clean if clean > 0 else 1.0
    gave_up = harm.value < nothing and not _cannot_be_learnt(run, nothing)
    if rate <= dropped or not (ratio > apart or gave_up):
        return None
    effect = f"the training loss is {ratio:.2g} times that of the same data without it"
    if not ratio > apart:
        effect = "the model has given up and answers nearly as by guessing"
    return Finding(
        message=f"Dropout of {rate:.2g} is too strong: {effect}, and the training data are fit to "
        f"{max(0.0, harm.value):.0%} only.",
        numbers=(
            Number(text=f"dropout rate {rate:.2g}", value=rate, threshold=dropped),
            Number(text=f"training loss over clean training loss {ratio:.2g}", value=ratio, threshold=apart),
            harm,
        ),
        confidence=0.75,
        first_step="Lower the dropout to 0.5 or less.",
        since=0,
    )


def _cannot_be_learnt(run: Evidence, nothing: float) -> bool:
    """Whether a plain reference guesses as well: then it need not be the dropout."""
    probe = run.table("probe.reference") if run.has("probe.reference") else {}
    score, chance = probe.get("score"), probe.get("chance")
    if not isinstance(score, int | float) or not isinstance(chance, int | float) or chance >= 1.0:
        return False
    return (score - chance) / (1.0 - chance) < nothing
