"""Training losses are computed and the weights never change: no step, or no backward pass, ever happens.

## What it does

Fires where training losses were seen, the parameters are what they were at the beginning, and either no optimizer that
was handed to `watch` ever stepped, or it stepped and there was neither a backward pass nor a gradient.

Also where weights move, and of more than three in four losses no gradient was ever asked: only some batches train.

## Why it hurts

Everything else looks like training: batches, losses, epochs. The model stays as it was initialised.

## Example

    loss_fn(model(x), y).backward()
    optimizer.step        # the parentheses are missing

## When it is wrong

Weights that somebody else moves, an optimizer that `watch` was not given or a hand-written update, are seen to have
changed, and the rule is silent. A `GradScaler` that finds an infinite gradient in every single step skips every step:
then no step happens, and the gradients are the cause.

## References

- PyTorch, Optimizer.step: "Perform a single optimization step to update parameter."
  https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.step.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["loop"],
    optional=["losses_used"],
    explains=[
        "optimisation",
        "signal",
        "fit",
        "gradients_cleared_before_step",
        "label_noise",
        "no_signal",
        "parameters_without_gradient",
    ],
)
def no_training_steps(
    run: Evidence,
    *,
    fewest: Annotated[int, Convention("losses: a loop may add up some of them before its first step")] = 16,
    wasted: Annotated[float, Convention("three in four: a loop may compute a loss or two more, to show them")] = 0.75,
) -> Finding | None:
    loop = run.table("loop")
    some = _some_train(run, fewest, wasted)
    if some is not None:
        return some
    losses = loop.get("losses")
    if loop.get("moved") is not False:
        return None
    if loop.get("steps") is False and isinstance(losses, int) and losses >= fewest:
        passes = "and backward was called" if loop.get("backward") else "and neither was backward"
        return Finding(
            message=f"The optimizer never steps: {losses} training losses were computed, {passes}, and no weight has "
            "changed.",
            numbers=(Number(text=f"{losses} training losses, 0 steps", value=0.0, threshold=1.0),),
            confidence=0.97,
            first_step="Call loss.backward() and optimizer.step(), with its parentheses, for each batch.",
            since=0,
        )
    if loop.get("steps") is True and loop.get("backward") is False:
        return Finding(
            message=f"No backward pass was seen in {run.steps} steps: there is no gradient, and no weight changed.",
            numbers=(Number(text=f"{run.steps} steps, 0 backward passes", value=0.0, threshold=1.0),),
            confidence=0.95,
            first_step="Call loss.backward() before optimizer.step().",
            since=0,
        )
    return None


def _some_train(run: Evidence, fewest: int, wasted: float) -> Finding | None:
    """Most losses have no backward pass: it stands outside of the loop over the batches."""
    if not run.has("losses_used"):
        return None
    computed, used = (run.entry("losses_used", name) for name in ("computed", "used"))
    if computed < fewest or not used or not 1 - used / computed > wasted:
        return None
    left = 1 - used / computed
    return Finding(
        message=f"Most batches are computed for nothing: of {computed:.0f} training losses in sampled steps {used:.0f} "
        "had a backward pass, and nothing is learnt from the others.",
        numbers=(Number(text=f"{left:.0%} of losses unused", value=left, threshold=wasted),),
        confidence=0.9,
        first_step="Indent loss.backward() and optimizer.step(), so that they run for each batch.",
        since=0,
    )
