"""The computation graphs of past steps are still held: memory grows with every step.

## What it does

Marks the graph of each sampled step in a way that lives as long as the graph, and looks at the end of the epoch which
marks are still there, the last three steps left out. Fires where more than half of them are, over all epochs: a loss,
an output or a state is kept with its history.

## Why it hurts

Each graph holds its nodes and, until a backward pass has freed them, all activations. The training becomes slower, and
at last the memory is full, often after hours.

## Example

    total = 0.0
    for x, y in train_loader:
        loss = loss_fn(model(x), y)
        ...
        total += loss              # loss.item() is the number; this is the number with its history

## When it is wrong

A backward pass over many batches at once needs their graphs; it is one pass and is not reported. Where a step's graph
is needed much later on purpose, for a penalty on a path through many steps, the memory is the price of it.

## References

- PyTorch FAQ, My model reports out of memory: "Don't accumulate history across your training loop." The example there
  is total_loss += loss. https://docs.pytorch.org/docs/stable/notes/faq.html
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from advisor import Convention, Evidence, Finding, Number, rule

MEGABYTE = 2**20


@rule(kind="wiring", needs=["kept_graphs"], optional=["memory"])
def graph_kept_alive(
    run: Evidence,
    *,
    share: Annotated[float, Convention("of the graphs that are looked for: a loop that frees them leaves none")] = 0.5,
    fewest: Annotated[int, Convention("graphs: one that lives on may have a reason of its own")] = 2,
) -> Finding | None:
    epochs, series = run.curve("kept_graphs").at, run.layers("kept_graphs")
    if series.names != ("looked_at", "held"):
        return None
    looked, held = np.nan_to_num(series.values).T
    if looked.sum() < fewest or held.sum() <= share * looked.sum():
        return None
    typical = float(held.sum() / looked.sum())
    text = f"{held.sum():.0f} of {looked.sum():.0f} graphs still held at the end of their epoch"
    numbers = [Number(text=text, value=typical, threshold=share)]
    grown = _growth(run)
    if grown > MEGABYTE:
        numbers.append(Number(text=f"memory grew by {grown / MEGABYTE:.0f} MB since epoch 0", value=grown))
    return Finding(
        message=f"The graphs of past steps are kept: at the end of their epoch {typical:.0%} of them are still there.",
        numbers=tuple(numbers),
        confidence=0.95,
        first_step="Keep numbers and not tensors with a history: loss.item() in the place of loss, or .detach().",
        since=int(epochs[np.flatnonzero(held)[0]]),
    )


def _growth(run: Evidence) -> float:
    """Bytes that the process, or its tensors on the device, gained after the first epoch; 0 where it is not known."""
    if not run.has("memory"):
        return 0.0
    memory = run.layers("memory").values
    return float(np.nan_to_num(memory[-1] - memory[0]).max())
