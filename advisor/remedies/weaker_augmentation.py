"""Takes what is random out of the training data's own transforms, or applies it to a share of the samples only.

## What it does
Looks for the transform of the training data set and of those that it is made of. With `share=0` its random members are
left out and the others stay (ToTensor, Normalize, Resize); a random crop to another size becomes a cut from the middle
or a resizing to it. A transform that is one function is left out as a whole, where its result is like what it is given.
With another `share` the transform as it was is applied to so many samples, drawn anew each time, and the one without
chance to the rest. The data set gets its own transform back when the loop is over. Validation is not touched: where
both read parts of one data set, the training part gets a shallow copy of it first.

## When it helps
Augmentation that destroys what the label depends on, or is so strong that the network does not fit what it is shown.

## When it hurts
Where augmentation was what kept the network from overfitting. Chance inside `__getitem__` itself, and augmentation of
whole batches in the loop, are not reached. Workers that stay alive between epochs, and outlive the loop, keep what they
began with.

## Cost
None; often less time a sample.

## References
Shorten, Khoshgoftaar: A survey on Image Data Augmentation for Deep Learning (label-preserving transforms). Journal of
Big Data 6:60 (2019). https://doi.org/10.1186/s40537-019-0197-0
"""

from __future__ import annotations

import copy
import dataclasses
import random
from typing import Any

from pydantic import Field
from torch.utils.data import get_worker_info

from advisor import tracing
from advisor.diagnosis import Diagnosis
from advisor.errors import CannotApply
from advisor.evidence import Evidence, Missing
from advisor.record import Json, Record
from advisor.remedies import Parameters as _Parameters
from advisor.remedies import Session
from advisor.remedies._random import seed_of
from advisor.remedies._sampling import mapped_loader
from advisor.remedies._transforms import Transform, examples, places, without_chance

CHANGES = frozenset({"transforms"})
# share of the samples that were in the epoch before, as excessive_augmentation has it: more, and they are not augmented
SAME = 0.3


class Parameters(_Parameters):
    """share: of the samples, that are augmented as before."""

    share: float = Field(default=0.0, ge=0.0, lt=1.0)


def candidates(diagnosis: Diagnosis, evidence: Evidence) -> list[Parameters]:
    """None at all, then a quarter; only where the training data were seen to change from epoch to epoch."""
    if not any(finding.rule == "excessive_augmentation" for finding in diagnosis.findings):
        try:
            again = evidence.entry("train_identities", "again")
            if again > SAME or evidence.entry("train_identities", "data_set", 0.0) <= 0:
                return []
        except Missing:
            return []
    return [Parameters(), Parameters(share=0.25)]


def apply(session: Session, parameters: Parameters) -> None:
    """Raises: CannotApply where the training data set has no transform of its own, or nothing in it is random."""
    loader = mapped_loader(session, "weaker_augmentation")
    if session.val is not None:
        _separate(session, loader.dataset, session.val.dataset)
    names: list[Json] = []
    members: list[Json] = []
    for number, place in enumerate(list(places(loader.dataset))):
        original = place.transform
        given = examples(loader.dataset, place)
        plain, left_out = without_chance(original, given) if given else (original, [])
        if left_out:
            new = Sometimes(original, plain, parameters.share) if parameters.share else plain
            place.put(new)
            tracing.stands_for(new, original)
            session.on_leave(lambda place=place, original=original: place.put(original))  # type: ignore[misc]
            names += [one.name for one in left_out]
            members += [{"place": number, **dataclasses.asdict(one), "at": list(one.at)} for one in left_out]
    if not names:
        raise CannotApply(
            "the training data set has no transform in which something is random",
            context="weaker_augmentation",
            hint="chance inside __getitem__ can only be taken out by hand",
        )
    session.note("weaker_augmentation", {"left_out": names, "share": parameters.share, "members": members})


def took_effect(record: Record, parameters: Parameters) -> bool:  # noqa: ARG001  any share leaves the same fact
    """Whether something random was taken out of a transform that the data set calls."""
    return isinstance(record.facts.get("remedy.weaker_augmentation"), dict)


class Sometimes:
    """A transform for a share of the calls, another one for the rest. Draws of its own, other ones in each worker."""

    def __init__(self, transform: Transform, otherwise: Transform, share: float) -> None:
        self.transform, self.otherwise, self.share = transform, otherwise, share
        self.seed = seed_of("weaker_augmentation")
        self._worker: int | None = -1
        self._random = random.Random(str(self.seed))

    def __call__(self, *args: Any) -> Any:
        info = get_worker_info()
        worker = None if info is None else info.seed  # another one in each worker and each epoch
        if worker != self._worker:
            self._worker, self._random = worker, random.Random(f"{self.seed} {worker}")
        chosen = self.transform if self._random.random() < self.share else self.otherwise
        return chosen(*args)


def _separate(session: Session, training: Any, validation: Any) -> None:
    """Give a training part of a data set that validation reads too a shallow copy of it.

    Raises: CannotApply where they are one object.
    """
    theirs = {id(place.owner) for place in places(validation)}
    if not any(id(place.owner) in theirs for place in places(training)):
        return
    shared = getattr(training, "dataset", None)
    if training is validation or shared is None:
        raise CannotApply(
            "validation reads the same data set through the same transform",
            context="weaker_augmentation",
            hint="give each its own data set",
        )
    session.on_leave(lambda: setattr(training, "dataset", shared))
    training.dataset = own = copy.copy(shared)
    if getattr(own, "transforms", None) is not None:
        own.transforms = copy.copy(own.transforms)
    _separate(session, own, validation)
