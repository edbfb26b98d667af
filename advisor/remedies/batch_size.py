"""Changes how many samples the training loader puts into a batch.

## What it does
Sets the size in the loader and in the sampler that makes its batches; the data set, the order and the workers stay as
they are. Only the training loader: validation takes its batches as before. After the loop the old size is back.

## When it helps
Smaller: the epochs are over after few steps, and the loss was still falling. Larger: statistics of batch normalisation
over a few samples, or steps that are mostly noise.

## When it hurts
An epoch of larger batches has fewer steps, so that the run learns less at the same rate. Smaller ones use a processor
badly. A schedule that counts steps gets out of step with the run.

## Cost
Smaller batches take more steps for the same data: time, where a processor is not kept busy. Larger ones take memory.

## References
McCandlish et al.: An Empirical Model of Large-Batch Training (2018): noisier gradients, larger useful batches. arXiv
1812.06162.
Shallue et al.: Measuring the Effects of Data Parallelism on Neural Network Training. JMLR 20 (2019).
https://jmlr.org/papers/v20/18-789.html
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from pydantic import Field
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import BatchSampler

from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._rates import attached
from advisor.roles import samples_in

CHANGES = frozenset({"batch_size"})
ORDINARY = (32, 128)  # conventions: the sizes that small and middling trainings use most
FOR_NORMS = (32, 16)  # conventions: a variance over n is off by √(2/(n−1)) of its size, a quarter and a third
NOISY = frozenset({"learning_rate_too_high", "oscillating_loss", "unstable_loss"})
FOURFOLD = 4  # halves the noise of a mean


class Parameters(_Parameters):
    """size: samples in a batch."""

    size: int = Field(default=ORDINARY[0], ge=1)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """Ordinary sizes where the size is blamed, four times as many where steps are noisy; else both ways."""
    fired = {finding.rule for finding in diagnosis.findings}
    now, samples = _number(evidence, "batch_size"), _number(evidence, "train_samples")
    if "batch_too_large" in fired:
        sizes = [size for size in ORDINARY if now is None or size < now]
    elif "batch_too_small_for_batchnorm" in fired:
        sizes = [size for size in FOR_NORMS if now is None or size > now]
    elif now is None:
        return []
    elif fired & NOISY:
        sizes = [now * FOURFOLD]
    else:
        sizes = [now // FOURFOLD, now * FOURFOLD]
    return [Parameters(size=size) for size in sizes if size >= 1 and (samples is None or size < samples)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where there is no training loader, its batches are made elsewhere, or the size is that."""
    loader = session.train
    if loader is None:
        raise CannotApply("the training loader is not known", context="batch_size", hint="pass train= to advisor.watch")
    sampler, before, size = loader.batch_sampler, loader.batch_size, parameters.size
    if before is None or type(sampler) is not BatchSampler:
        raise CannotApply("the batches are made by a sampler or a data set of your own", context="batch_size")
    if before == size:
        raise CannotApply(f"the batches have {size} samples already", context="batch_size")
    if loader.drop_last and isinstance(loader.dataset, Sized) and len(loader.dataset) < size:
        raise CannotApply(f"drop_last would leave nothing of {len(loader.dataset)} samples", context="batch_size")
    if size < before and any(isinstance(scheduler, OneCycleLR) for scheduler in attached(session)):
        raise CannotApply("OneCycleLR counts the steps and allows no more", context="batch_size")
    largest = [0]

    def seen(batch: Any) -> Any:
        largest[0] = max(largest[0], samples_in(batch))
        return batch

    def resize(to: int) -> None:
        sampler.batch_size = to
        vars(loader)["batch_size"] = to  # which DataLoader does not let anyone set

    resize(size)
    session.on_train_batch(seen)
    session.on_leave(lambda: resize(before))
    session.on_finish(lambda: session.note("batch_size", {"before": before, "after": size, "largest": largest[0]}))


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  the facts have all sizes
    """Whether the largest batch that came is nearer to the new size than to the old one."""
    note = record.facts.get("remedy.batch_size")
    if not isinstance(note, dict):
        return False
    before, after, largest = (note.get(key) for key in ("before", "after", "largest"))
    if not isinstance(before, int) or not isinstance(after, int) or not isinstance(largest, int) or not largest:
        return False
    return largest <= after if after < before else largest > before


def _number(evidence: Evidence, name: str) -> int | None:
    try:
        return int(evidence.number(name))
    except Missing:
        return None
