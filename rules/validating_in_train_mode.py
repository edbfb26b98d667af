"""Validation runs with the whole model in train mode: its score is of another model than the one that is kept.

## What it does

Looks at the modes in the forward passes of the loop's own validation. Fires where the model itself and all its modules
to which the mode matters, dropout and normalisation by batch statistics, were in train mode in more than half of the
validation losses. Models without such modules may validate in either mode, and so may frozen parts.

Dropout that is switched on alone, in a model that is otherwise in eval mode, is a choice (Monte Carlo dropout).

## Why it hurts

Dropout makes the predictions worse than they are and different from call to call. Batch normalisation normalises by the
validation batch, so that a prediction depends on its neighbours, and moves its running statistics with data that must
not be seen.

## Example

    with torch.no_grad():           # switches off gradients, not dropout
        for x, y in val_loader:
            loss_fn(model(x), y)

## When it is wrong

A model that returns its loss in train mode only, such as a detector, has to be validated so. An evaluation on training
data, by a loop without a DataLoader, may be taken for the validation.

## References

- PyTorch, Autograd mechanics, Evaluation mode: it has nothing to do with no-grad mode, and calling model.eval() is up
  to the user. https://docs.pytorch.org/docs/stable/notes/autograd.html#evaluation-mode-nn-module-eval
- PyTorch, Saving and Loading Models tutorial, on eval(): "Failing to do this will yield inconsistent inference
  results." https://docs.pytorch.org/tutorials/beginner/saving_loading_models.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["train_in_validation", "mode_modules"],
    remedies=["restore_modes"],
    explains=[
        "batch_too_small_for_batchnorm",
        "data_scarcity",
        "oscillating_loss",
        "overfitting",
        "too_few_epochs",
        "underfitting",
    ],
)
def validating_in_train_mode(
    run: Evidence,
    *,
    share: Annotated[float, Convention("of the validation losses: what is less than half is an episode")] = 0.5,
) -> Finding | None:
    series, modules = run.layers("train_in_validation"), run.table("mode_modules")
    shares = dict(zip(series.names, series.values.mean(axis=0), strict=True))  # NaN: there is no such module
    kinds = [kind for kind in ("dropout", "normalisation") if not np.isnan(shares.get(kind, np.nan))]
    if not kinds or not all(shares.get(kind, 0.0) > share for kind in (*kinds, "model")):
        return None
    words = " and ".join({"dropout": "dropout", "normalisation": "batch statistics"}[kind] for kind in kinds)
    count = sum(n for kind in kinds if isinstance(n := modules.get(kind), int))
    reached = float(shares["model"])
    return Finding(
        message=f"Validation runs in train mode, for {reached:.0%} of its losses: {words} ({count} "
        f"module{'s' if count != 1 else ''}) are on, and the scores are not those of the model that is kept.",
        numbers=(Number(text=f"validation losses in train mode {reached:.0%}", value=reached, threshold=share),),
        confidence=0.95,
        judge="val_gap",
        first_step="Call model.eval() before the validation, and model.train() after it.",
        since=0,
    )
