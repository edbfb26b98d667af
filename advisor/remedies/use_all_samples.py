"""Keeps the last, smaller batch of an epoch, which the training loader leaves out.

## What it does
Sets `drop_last` to False inside the training loader until the loop is over: an epoch has one batch more, of the samples
that were left over. In a loader that does not shuffle these were the same ones in every epoch.

## When it helps
Few samples and large batches, where what is dropped is a good part of the data.

## When it hurts
A model that needs batches of one size. A batch of a single sample has no spread for batch normalisation: refused.

## Cost
One step more in an epoch.

## References
PyTorch, torch.utils.data: drop_last. https://docs.pytorch.org/docs/stable/data.html
"""

from __future__ import annotations

from typing import Any

from torch.nn.modules.batchnorm import _BatchNorm

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._sampling import mapped_loader

CHANGES = frozenset({"drop_last"})


class Parameters(_Parameters):
    """It has none."""


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:  # noqa: ARG001  the loader is what counts
    """The one choice, where the loader drops a last batch and samples are missing from an epoch."""
    try:
        table = evidence.table("train_identities")
        missing = evidence.entry("train_identities", "data_set") > evidence.entry("train_identities", "given")
    except Missing:
        return []
    return [Parameters()] if table.get("drop_last") is True and missing else []


def apply(session: Session, parameters: Parameters) -> None:  # noqa: ARG001  it has none
    """Raises: CannotApply where nothing is dropped."""
    loader = mapped_loader(session, "use_all_samples")
    batches: Any = loader.batch_sampler
    rest = len(loader.sampler) % loader.batch_size if loader.batch_size else 0
    if not loader.drop_last or batches is None or not rest:
        raise CannotApply("the loader leaves no sample out", context="use_all_samples")
    if rest == 1 and any(isinstance(part, _BatchNorm) for part in session.model.modules()):
        raise CannotApply(
            "the last batch has one sample, which batch normalisation cannot take", context="use_all_samples"
        )

    def drop(*, last: bool) -> None:
        batches.drop_last = last
        loader.__dict__["drop_last"] = last  # below the guard of DataLoader.__setattr__, as torch itself keeps it

    drop(last=False)
    session.on_leave(lambda: drop(last=True))
    session.note("use_all_samples", {"more": rest, "of": len(loader.sampler)})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  it has none
    """Whether samples came back: they do from the first epoch on."""
    return isinstance(record.facts.get("remedy.use_all_samples"), dict)
