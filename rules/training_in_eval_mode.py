"""The whole model is in eval mode while it is trained: dropout and batch statistics are off.

## What it does

Looks at the modes when the optimizer steps, of the model itself and of those modules to which the mode matters:
dropout, and normalisation by batch statistics. Fires where the model and all of those were in eval mode in more than
half of the steps of the later epochs. Where the run began in train mode, somebody called `eval()` for a validation and
nobody called `train()` again.

Parts that are frozen are left out, and one mode in the model and another in its batch normalisation is a choice, often
made in fine-tuning. A model that was in eval mode from the first step on is reported where it has dropout, or batch
normalisation that has never counted a batch.

## Why it hurts

Without dropout a model that needs it overfits. Batch normalisation in eval mode uses statistics from before the weights
moved: it no longer normalises anything, and deep networks that rely on it die, explode or stand still.

## Example

    model.train()
    for epoch in range(20):        # validate() calls model.eval(), and from epoch 1 on nobody calls train()
        train_one_epoch(model)
        validate(model)

## When it is wrong

Fine-tuning with everything in eval mode, dropout included, can be meant. Modes are looked at just before the step: a
loop that switches between forward pass and step is misjudged.

## References

- Lightning issue 19820, on silent bugs of models that come in eval mode, and on users who fine-tune in it on purpose.
  https://github.com/Lightning-AI/pytorch-lightning/issues/19820
- joeynmt issue 184: the rest of an epoch was trained in eval mode. https://github.com/joeynmt/joeynmt/issues/184
- PyTorch, Module.eval: "has an effect only on certain modules".
  https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.eval
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["eval_in_training", "mode_modules"],
    remedies=["restore_modes"],
    explains=[
        "batch_too_small_for_batchnorm",
        "data_scarcity",
        "dead_units",
        "exploding_gradients",
        "learning_rate_too_high",
        "learning_rate_too_low",
        "no_signal",
        "non_finite_loss",
        "oscillating_loss",
        "overfitting",
        "saturated_units",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
        "unstable_loss",
        "vanishing_gradients",
    ],
)
def training_in_eval_mode(
    run: Evidence,
    *,
    share: Annotated[float, Convention("of the steps: what is less than half is an episode")] = 0.5,
) -> Finding | None:
    series, modules = run.layers("eval_in_training"), run.table("mode_modules")
    epochs = run.curve("eval_in_training").at
    shares = dict(zip(series.names, series.values.T, strict=True))
    model = shares.get("model", np.zeros(len(epochs)))
    late = slice(len(epochs) // 2, None)
    off = [k for k in ("dropout", "normalisation") if k in shares and not np.isnan(shares[k]).any()]
    if not off or not np.all(model[late] > share):
        return None
    if any(np.any(shares[kind][late] < model[late]) for kind in off):
        return None  # some were put in train mode by themselves
    stuck = bool(model[0] <= share)
    if not stuck and "dropout" not in off and not modules.get("untouched"):
        return None  # statistics from an earlier training, kept on purpose
    reached = float(np.mean(model[late]))
    last = int(epochs[np.flatnonzero(~(model > share))[-1]]) if stuck else -1  # of the epochs that were seen
    kinds = " and ".join({"dropout": "dropout", "normalisation": "batch statistics"}[kind] for kind in off)
    count = sum(n for kind in off if isinstance(n := modules.get(kind), int))
    return Finding(
        message=f"The model is trained in eval mode {f'after epoch {last}' if stuck else 'from the start'}, in "
        f"{reached:.0%} of the steps: {kinds} ({count} module{'s' if count != 1 else ''}) are off.",
        numbers=(Number(text=f"training steps in eval mode {reached:.0%}", value=reached, threshold=share),),
        confidence=0.97 if stuck else 0.8,  # from the first step on: now and then it is meant
        metric="val_loss",
        first_step="Call model.train() at the start of each epoch, and again after each validation.",
        since=last + 1,
    )
