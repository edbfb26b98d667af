"""Now and then a gradient is many times as long as the usual one, at an ordinary loss, and throws the weights off.

## What it does

Follows the gradient of one small parameter near the input at every step, as the optimizer gets it, after any clipping.
Fires where in at least two epochs the longest gradient was many times the median of its epoch while the loss of that
step was not, the training data are not fit, and the loss rose clearly above its best or stopped being a number.

In a recurrent network it also fires where a gradient of the first epoch was a thousand times as long as is usual later,
and the training data are not fit: it exploded at the start, and what that threw off was not made good.

A gradient is compared with others of the same epoch, never with a constant. A batch of outliers has a large loss as
well, and is not counted. Where the data are fit, a rare hard sample among easy ones makes large ratios, and the rule is
silent.

## Why it hurts

A gradient is a product over layers, or over the steps of a sequence. Where the factors are above one, it grows
exponentially; one such step undoes what hundreds have learned.

## Example

    loss.backward()
    optimizer.step()  # a recurrent network, without clip_grad_norm_ between the two

## When it is wrong

Samples of very different length or scale make gradients of very different length with no instability. Batches of one
or two samples do the same.

## References

- Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013: walls in the error
  surface, and clipping by norm. https://proceedings.mlr.press/v28/pascanu13.html
- Zhang et al., Why Gradient Clipping Accelerates Training, ICLR 2020. https://arxiv.org/abs/1905.11881
- Amazon SageMaker Debugger, rule ExplodingTensor: NaN and infinity in any tensor.
  https://github.com/awsdocs/amazon-sagemaker-developer-guide/blob/master/doc_source/debugger-built-in-rules.md
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.progress import after, skill

RECURRENT = ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")


@rule(
    kind="signal",
    needs=["train_loss"],
    optional=["gradient_peak", "gradient_median", "loss_at_peak", "clean_train_score", "chance_score"],
    remedies=["clip_gradients", "learning_rate", "reinitialise", "layer_norm"],
    explains=[
        "dead_units",
        "label_noise",
        "learning_rate_too_high",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def exploding_gradients(
    run: Evidence,
    *,
    factor: Annotated[
        float, Measured("fixtures/exploding_gradients/faulty.py: 6 in its second worst epoch; its fixed twin 2")
    ] = 3.5,
    error: Annotated[
        float, Convention("a fifth of the way from a perfect fit to guessing: less has done no harm")
    ] = 0.2,
    rise: Annotated[float, Convention("of its best loss, at the end: what was learned was lost again")] = 0.3,
    at_first: Annotated[
        float,
        Measured("fixtures/healthy: at most 33 times the later gradient in the first epoch of a recurrent network"),
    ] = 1000.0,
) -> Finding | None:
    if not run.has("gradient_peak") or not run.has("gradient_median") or not run.has("loss_at_peak"):
        return None
    peak, median, losses = (run.curve(name) for name in ("gradient_peak", "gradient_median", "loss_at_peak"))
    if len(peak) < 2 or not len(peak) == len(median) == len(losses):
        return None
    usual = np.maximum(median.values, 1e-30)  # 1e-30: no gradient at all
    ratios = np.nan_to_num(peak.values / usual / np.maximum(losses.values, 1.0))
    second = float(np.sort(ratios)[-2])
    begun = float(peak.values[0] / np.median(usual[1:])) if _where(run) else 0.0
    if not run.has("clean_train_score") or not run.has("chance_score") or max(second / factor, begun / at_first) < 1:
        return None
    wrong = 1.0 - skill(run)
    if begun >= at_first and wrong > error:
        return _at_the_start(run, begun, at_first, wrong, error)
    train = run.curve("train_loss").values
    best = float(np.nanmin(train)) if np.isfinite(train).any() else 0.0
    lift = after(train) / best - 1.0 if best > 0 and np.isfinite(after(train)) else np.inf
    if second < factor or not wrong > error or lift < rise:
        return None
    lost = (
        f"the loss rose from {best:.3g} to {after(train):.3g}"
        if np.isfinite(lift)
        else "the loss is no number any more"
    )
    worst = int(ratios.argmax())
    return Finding(
        message=f"The gradient explodes now and then: in epoch {peak.at[worst]} one was {ratios[worst]:.3g} times the "
        f"usual length at an ordinary loss, in another {second:.3g} times{_where(run)}; {lost}.",
        numbers=(
            Number(text=f"longest over median gradient {second:.1f} in two epochs", value=second, threshold=factor),
            Number(text=f"{wrong:.0%} of the way from a perfect fit to guessing", value=wrong, threshold=error),
            Number(text=f"the loss rose by {lift:.0%} of its best", value=float(lift), threshold=rise),
        ),
        confidence=0.85 if _where(run) else 0.7,
        first_step="Clip: nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward() and step(); "
        f"the usual norm of this parameter's gradient is {float(np.median(usual)):.2g}.",
        since=int(peak.at[int(np.flatnonzero(ratios >= factor)[0])]),
    )


def _at_the_start(run: Evidence, begun: float, at_first: float, wrong: float, error: float) -> Finding:
    return Finding(
        message=f"The gradient exploded at the start: in the first epoch one was {begun:.2g} times as long as is usual "
        f"later{_where(run)}, and the training data are not fit since.",
        numbers=(
            Number(text=f"longest first over usual later gradient {begun:.2g}", value=begun, threshold=at_first),
            Number(text=f"{wrong:.0%} of the way from a perfect fit to guessing", value=wrong, threshold=error),
        ),
        confidence=0.75,
        first_step="Begin with recurrent weights that neither grow nor shrink a state: nn.init.orthogonal_ without a "
        "gain; and clip with nn.utils.clip_grad_norm_(model.parameters(), 1.0).",
        since=0,
    )


def _where(run: Evidence) -> str:
    """The recurrent layer, where there is one."""
    names = [layer.name for layer in run.info.layers if layer.kind in RECURRENT]
    return f", as recurrent layers ({names[0]}) do" if names else ""
