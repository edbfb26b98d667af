"""Leaves the padding of sequences out of the loss, so that only real tokens are learnt.

## What it does
Targets that have the value `index` count for nothing in cross_entropy and nll_loss, in training and in validation:
they get the value that the loss ignores already (`ignore_index`, -100 where the loop gives none). This is what
`ignore_index=index` does, and leaves alone what else is ignored.

## When it helps
padding_in_loss: padding is predicted at once and perfectly, and dilutes the gradient of the tokens that matter.

## When it hurts
Where the value is a token too, such as an end of text that the model has to learn. The loss rises, since easy targets
are gone; compare the accuracy on real tokens. A batch of padding alone has no loss: it is not a number.

## Cost
One comparison of the targets a step.

## References
PyTorch, CrossEntropyLoss, ignore_index:
https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from pydantic import Field

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.loss_changes import LossArguments
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._loss_calls import CLASSES, calls_changed, change_calls, refuse_other

CHANGES = frozenset({"padding"})
IGNORED = -100  # torch's default of ignore_index


class Parameters(_Parameters):
    """index: the value of the padding; torch's pad_sequence pads with 0."""

    index: int = Field(default=0, ge=0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """The value that the finding names; none without it: a loss that ignores nothing is most often right."""
    if not any(finding.rule == "padding_in_loss" for finding in diagnosis.findings):
        return []
    try:
        value = evidence.entry("sequences", "value")
    except Missing:
        return []
    return [Parameters(index=int(value))] if value >= 0 else []


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the loss is known to be none of classes, or ignores this value already."""
    refuse_other(session, "ignore_padding", CLASSES)
    if getattr(session.loss_fn, "ignore_index", None) == parameters.index:
        raise CannotApply(f"the loss ignores {parameters.index} already", context="ignore_padding")

    def change(call: LossArguments) -> LossArguments:
        target, ignored = call.target, call.given.get("ignore_index", IGNORED)
        if call.name not in CLASSES or target is None or target.is_floating_point() or ignored == parameters.index:
            return call
        return call.replace(target=target.masked_fill(target == parameters.index, ignored))

    session.facts["ignored_target"] = parameters.index
    change_calls(session, "ignore_padding", change, {"index": parameters.index})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any value leaves the same fact
    """Whether a loss ignored it."""
    return calls_changed(record, "ignore_padding")
