"""The steps are so long that the loss does not fall, or climbs back and stays up.

## What it does

Fires in four cases:

- stuck: after the first half of the run the loss is still where guessing would be (ln C for a cross entropy, or the
  loss of the first step), and an early step moved a layer by more than half of its own length;
- slid back: after such a step the loss fell in the first third of the run, and since then has clearly lost some of that
  again, with more than half of it left;
- climbed: the loss came down and then went up again by half of its first value, and stayed there to the end;
- blown up: the loss became NaN or infinite after such a step.

An early spike that the run recovers from, as under a warm-up, is none of these. A layer whose weights began at zero
is not counted: any step is infinitely long for it. Neither is a run whose weights shrink, since long steps throw them
outwards. A loss that can be negative, such as that of a policy gradient, has no zero to measure a climb from: it has to
end above where it began, after such a step.

## Why it hurts

The update overshoots the valley that it should descend. Units are pushed so far that they never answer again, and
what the first steps destroyed is not repaired by later ones.

## Example

    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)

Adam moves every weight by about `lr` in each step, and weights of a layer with 64 inputs begin near 0.07.

## When it is wrong

A task without any signal stays at the loss of guessing whatever the rate, and the step of a layer that began tiny is
long as well: that is then an accident. A rate that is only two or three times too high settles at a worse loss without
any of these signs: the rule is silent, and the probe `learning_rate_range` or a trial has to tell.

## References

- TheDeepChecker (Ben Braiek and Khomh, 2023), settings.yaml: updates above 10^-1 of the weights are unstable
  learning; losses that grow at a rate of 2, over their minimum, diverge.
  https://github.com/thedeepchecker/thedeepchecker
- Amazon SageMaker Debugger, rule WeightUpdateRatio: alarm at 10.
  https://github.com/awsdocs/amazon-sagemaker-developer-guide/blob/master/doc_source/debugger-built-in-rules.md
- Stanford CS231n, Neural Networks 3: "this ratio should be somewhere around 1e-3. […] If it is higher then the
  learning rate is likely too high." https://cs231n.github.io/neural-networks-3/#ratio
- Deep Learning Tuning Playbook (Godbole et al., 2023): some models show very early instability followed by a
  recovery. https://github.com/google-research/tuning_playbook
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Measured, Number, rule
from advisor.evidence import Missing
from advisor.progress import LAST, Values, end, guessing_loss, initial_loss, noise


@rule(
    kind="optimisation",
    needs=["train_loss", "update_ratio"],
    optional=["step_loss", "weight_norm", "loss", "classes", "probe.learning_rate_range"],
    remedies=["learning_rate", "learning_rate_schedule", "batch_norm", "batch_size"],
    probes=["learning_rate_range"],
    explains=[
        "dead_units",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
    contradicts=["learning_rate_too_low"],
)
def learning_rate_too_high(
    run: Evidence,
    *,
    jump: Annotated[
        float,
        Measured("largest early step: 0.30 over fixtures/healthy, 244 in fixtures/learning_rate_too_high/faulty.py"),
    ] = 0.5,
    progress: Annotated[float, Convention("a loss that fell by less than a tenth has not begun to learn")] = 0.1,
    climb: Annotated[float, Convention("half of the way back: no spike that a healthy run recovers from")] = 0.5,
    left: Annotated[
        float, Convention("half of the first loss: less is a run that learnt, and may be at its noise")
    ] = 0.5,
    lost: Annotated[float, Convention("a tenth of what had been learnt: a curve at its floor scatters by less")] = 0.1,
    clear: Annotated[float, Convention("two standard deviations: 1 in 40 by chance for a normal error")] = 2.0,
) -> Finding | None:
    losses = run.curve("train_loss")
    finite = np.isfinite(losses.values)
    step, layer = _longest_step(run)
    start = min(initial_loss(run), _guessing(run))
    if not finite.all():
        if step <= jump:
            return None
        story = f"the loss became NaN or infinite in epoch {losses.at[~finite][0]}"
        return _finding(run, story, step, jump, layer, since=int(losses.at[~finite][0]), confidence=0.85)
    if _weights_shrink(run) or len(losses) < 2 or not np.isfinite(start):
        return None
    late, best = float(losses.values[len(losses) // 2 :].min()), int(losses.values.argmin())
    lowest, now = float(losses.values[best]), end(losses.values)
    stays = float(losses.values[-_few(len(losses)) :].min())
    if lowest < 0 or start <= 0:
        if step > jump and stays > start:
            story = f"the loss rose from {start:.3g} to {now:.3g}, above where it began"
            return _finding(run, story, step, jump, layer, since=int(losses.at[best]), confidence=0.7)
        return None
    if step > jump and 1.0 - late / start < progress:
        story = f"the loss stays at {late:.3g}, where guessing gives {start:.3g}"
        return _finding(run, story, step, jump, layer, since=0, confidence=0.85)
    if step > jump and late / start > left and _slid_back(losses.values, start, lost, clear):
        since = int(losses.at[len(losses) // 3])
        story = f"the loss stopped falling by epoch {since} and is at {now:.3g} of {start:.3g} again"
        return _finding(run, story, step, jump, layer, since=since, confidence=0.75)
    if stays - lowest > climb * start:
        story = f"the loss climbed from {lowest:.3g} in epoch {losses.at[best]} to {now:.3g}"
        return _finding(run, story, step, jump, layer, since=int(losses.at[best]), confidence=0.7)
    return None


def _slid_back(losses: Values, start: float, lost: float, clear: float) -> bool:
    """Whether a loss lost a part of what the first third of the run had won, and no noise did it."""
    early = float(losses[: len(losses) // 3 + 1].min())
    again = end(losses) - early
    return len(losses) > LAST and again > lost * (start - early) > 0 and again > clear * noise(losses)


def _few(epochs: int) -> int:
    """A quarter of the run, at least two epochs: one bad last epoch is not divergence."""
    return max(2, round(epochs / 4))


def _guessing(run: Evidence) -> float:
    try:
        return guessing_loss(run)
    except Missing:
        return float("inf")


def _longest_step(run: Evidence) -> tuple[float, str]:
    """The largest update_ratio in the first half of the run and its layer, among layers that did not begin at zero."""
    ratios = run.layers("update_ratio")
    early = ratios.values[ratios.steps <= max(ratios.steps[0], ratios.steps[-1] / 2)]
    early = np.where(np.isfinite(early), early, 0.0)
    if run.has("weight_norm"):
        norms = run.layers("weight_norm")
        if norms.names == ratios.names:
            early = early * (norms.values[0] > 0)
    column = int(early.max(axis=0).argmax())
    return float(early[:, column].max()), ratios.names[column]


def _weights_shrink(run: Evidence) -> bool:
    """Whether the weights lost more than half of their length: decay, not long steps."""
    if not run.has("weight_norm"):
        return False
    norms = np.linalg.norm(run.layers("weight_norm").values, axis=1)
    return bool(norms[-1] < norms[0] / 2)


def _finding(
    run: Evidence, story: str, step: float, jump: float, layer: str, *, since: int, confidence: float
) -> Finding:
    numbers = [Number(text=f"largest early step of {layer}: {step:.2g} of its weights", value=step, threshold=jump)]
    first = "Divide the learning rate by ten."
    confirmed: tuple[str, ...] = ()
    if run.has("probe.learning_rate_range"):
        probe = run.table("probe.learning_rate_range")
        stable, used = probe.get("highest_stable"), probe.get("used")
        if isinstance(stable, int | float) and isinstance(used, int | float) and used > stable:
            confirmed, confidence = ("learning_rate_range",), 0.95
            numbers.append(Number(text=f"lr {used:.2g} is above {stable:.2g}, the highest stable", value=used))
            suggested = probe.get("suggested")
            if isinstance(suggested, int | float) and suggested < used:
                first = f"Lower the learning rate from {used:.2g} to {suggested:.2g}."
    return Finding(
        message=f"The learning rate is too high: {story}, and a step moved layer {layer} by {step:.2g} of its length.",
        numbers=tuple(numbers),
        confidence=confidence,
        first_step=first,
        since=since,
        confirmed_by=confirmed,
    )
