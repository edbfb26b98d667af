"""Sequences of different lengths were padded, and the loss counts the padding as something to be predicted.

## What it does

Looks at how the rows of targets end that reach a classification loss over tokens, also where they were flattened for
it. It fires where most rows end (or begin) in a run of one value that is not `ignore_index`, the runs have different
lengths and cover more than a tenth of all targets, the value hardly occurs elsewhere, and the inputs of the same
batch, where there are such, are constant in the same places.

A token that is merely frequent occurs inside of sequences too. Blanks of a fixed length are part of a task.

## Why it hurts

Padding is predicted at once and perfectly. It dilutes the gradient of the tokens that matter, pulls rare ones towards
the padding, and makes loss and accuracy look better than they are, the more the shorter the sequences.

## Example

    batch = nn.utils.rnn.pad_sequence(sequences, batch_first=True)  # with 0
    loss_fn = nn.CrossEntropyLoss()  # ignore_index=0 is missing

## When it is wrong

A model that has to learn where a text ends needs the first token after it; the rule asks for runs of at least two.
A loss that weights the padding away by multiplying its elements is not looked at, and neither is one with its own
sum. Series that end in a constant state, such as a machine that was switched off, look padded.

## References

- PyTorch, CrossEntropyLoss: ignore_index "specifies a target value that is ignored and does not contribute to the
  input gradient". https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
- PyTorch, pad_sequence: padding_value is 0 by default.
  https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pad_sequence.html
"""

from __future__ import annotations

from typing import Annotated

from advisor import Convention, Evidence, Finding, Number, rule


@rule(
    kind="wiring",
    needs=["sequences"],
    remedies=["ignore_padding"],
    explains=[
        "class_imbalance",
        "label_noise",
        "learning_rate_too_low",
        "no_signal",
        "overfitting",
        "slow_convergence",
        "too_few_epochs",
        "underfitting",
    ],
)
def padding_in_loss(
    run: Evidence,
    *,
    share: Annotated[float, Convention("a tenth of what the loss counts: less hardly moves it")] = 0.1,
    rows: Annotated[float, Convention("half of the rows: all but the longest of a batch are padded")] = 0.5,
    interior: Annotated[float, Convention("one token in a hundred: a value that is at home there is a token")] = 0.01,
    lengths: Annotated[int, Convention("different lengths: blanks of a fixed length are part of a task")] = 3,
    inputs: Annotated[float, Convention("of the padded rows: more than half have constant inputs there")] = 0.6,
) -> Finding | None:
    if run.fact("sequences") is None:
        return None
    found = {key: value for key, value in run.table("sequences").items() if isinstance(value, int | float)}
    if not {"share", "rows", "interior", "lengths", "value", "sequences"} <= found.keys():
        return None
    if found["share"] < share or found["rows"] < rows or found["interior"] > interior or found["lengths"] < lengths:
        return None
    agree = found.get("inputs")
    if agree is not None and agree < inputs:
        return None
    value = int(found["value"])
    side = str(run.table("sequences").get("side", "end"))
    return Finding(
        message=f"The loss counts padding: {found['share']:.0%} of the targets are the value {value} in runs at the "
        f"{side} of {found['rows']:.0%} of the sequences, of {found['lengths']:.0f} different lengths.",
        numbers=(
            Number(text=f"{found['share']:.0%} of the targets are padding", value=found["share"], threshold=share),
            Number(text=f"{found['interior']:.1%} elsewhere", value=found["interior"], threshold=interior),
        ),
        confidence=0.9 if agree is not None else 0.8,
        judge="independent_unpadded_accuracy",
        first_step=f"Pass ignore_index={value} to the loss, and leave such targets out of the accuracy.",
        since=0,
    )
