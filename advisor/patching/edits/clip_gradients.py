"""`torch.nn.utils.clip_grad_norm_` before the step."""

from __future__ import annotations

from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.edits._imports import torch_name
from advisor.patching.literals import written
from advisor.patching.source import Replacement, Source


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One line, for what the optimizer holds: `model.parameters()` as it was given to it."""
    made = source.call(shown.optimizer.site, "the optimizer")
    given = source.of(made.args[0].value) if made.args else ""
    step = only_call(source, shown, "step")
    torch = torch_name(source, step)
    if not given.endswith(".parameters()") or source.scope(step) is not source.scope(made):
        raise Declined(f"line {source.line(step)} has no name for the parameters of the optimizer: `{given}`")
    limit = shown.parameters["max_norm"]
    assert isinstance(limit, float)  # mypy: the remedy's own parameter
    return [source.before(source.statement(step), f"{torch}.nn.utils.clip_grad_norm_({given}, {written(limit)})")]
