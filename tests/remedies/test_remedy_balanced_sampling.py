"""balanced_sampling: every class comes up equally often, by the loader that the user has."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, balanced_sampling
from advisor.remedies._random import own_generator
from advisor.remedies.balanced_sampling import Parameters


def uneven(samples: int = 400) -> tuple[Tensor, Tensor]:
    x, _ = table(samples)
    return x, (torch.arange(samples) % 10).clamp(max=2)


def rare_classes() -> Session:
    return session_of(mlp(), uneven(80))


FITTING = (rare_classes,)


def session_over(loader: DataLoader[Any] | None) -> Session:
    session = session_of(mlp(), uneven())
    session.train = loader
    return session


def drawn(loader: DataLoader[Any]) -> Tensor:
    return torch.cat([batch[1] for batch in loader])


@pytest.mark.parametrize("shuffle", [True, False])
def test_draws_are_those_of_a_weighted_sampler(*, shuffle: bool) -> None:
    """The same samples, epoch after epoch, as torch's WeightedRandomSampler gives with the inverse counts."""
    x, y = uneven()
    numbered = TensorDataset(x, y)
    loader = DataLoader(numbered, batch_size=16, shuffle=shuffle)
    balanced_sampling.apply(session_over(loader), Parameters())
    weights = (1 / y.bincount().double())[y]
    sampler = WeightedRandomSampler(weights.tolist(), 400, generator=own_generator("balanced_sampling"))
    right = DataLoader(numbered, batch_size=16, sampler=sampler)
    for _ in range(2):
        assert torch.equal(drawn(right), drawn(loader))
    assert len(loader) == 25


def test_classes_come_up_equally_often() -> None:
    """A third of the draws each, within four standard errors, of 1 : 1 : 8 before; by the root in between."""
    for power, expected in ((1.0, [1 / 3] * 3), (0.5, [0.2071, 0.2071, 0.5858])):  # 1 : 1 : √8
        loader = DataLoader(TensorDataset(*uneven(4000)), batch_size=100, shuffle=True)
        balanced_sampling.apply(session_over(loader), Parameters(power=power))
        shares = (drawn(loader).bincount() / 4000).tolist()
        assert shares == pytest.approx(expected, abs=4 * 0.5 / 4000**0.5)


def test_only_samples_that_the_loader_drew_before() -> None:
    """A sampler over a part of the data set stays within it; one with weights gives none that weighed nothing."""
    _, y = uneven()
    part = list(range(0, 400, 2))
    data = TensorDataset(torch.arange(400.0), y.roll(1))
    for sampler in (
        SubsetRandomSampler(part),
        WeightedRandomSampler([float(i % 2 == 0) for i in range(400)], 200),
    ):
        loader = DataLoader(data, batch_size=10, sampler=sampler)
        balanced_sampling.apply(session_over(loader), Parameters())
        numbers = torch.cat([batch[0] for batch in loader])
        assert len(numbers) == 200
        assert set(numbers.int().tolist()) <= set(part)


def test_the_loader_has_its_sampler_back() -> None:
    """After the loop the user's loader draws as it did, and the evidence counts classes that were even."""
    session = rare_classes()
    assert session.train is not None
    loader, before = session.train, session.train.sampler
    record = watched(session, Plan.of("balanced_sampling"))
    assert loader.sampler is before
    assert loader.batch_sampler is not None
    assert loader.batch_sampler.sampler is before  # type: ignore[attr-defined]  # a BatchSampler has one
    counts = record.facts["label_counts"]
    assert isinstance(counts, dict)
    assert max(counts["count"]) < 2 * min(counts["count"])  # type: ignore[arg-type,operator,type-var]  # a list of numbers


class Own(Sampler[int]):
    def __iter__(self) -> Any:
        return iter(range(400))

    def __len__(self) -> int:
        return 400


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        (session_over(None), "not known"),
        (session_over(DataLoader(TensorDataset(*uneven()), sampler=Own())), "Own is a sampler of the loop's own"),
        (session_of(mlp(), table(24)), "equally frequent"),
    ],
    ids=["no loader", "own sampler", "even classes"],
)
def test_what_cannot_be_balanced(session: Session, reason: str) -> None:
    """No loader, a sampler that nobody knows, and classes that are even already."""
    with pytest.raises(CannotApply, match=reason):
        balanced_sampling.apply(session, Parameters())


def test_candidates_need_uneven_classes() -> None:
    """Full and half balance where the finding or the counts show it; none for a blind search over even classes."""
    even, rare = (Evidence(record_with(label_counts={"count": counts})) for counts in ([50, 49], [90, 10]))
    both = [Parameters(), Parameters(power=0.5)]
    assert both == balanced_sampling.candidates(diagnosis_of("class_imbalance"), even)
    assert both == balanced_sampling.candidates(diagnosis_of(), rare)
    assert balanced_sampling.candidates(diagnosis_of(), even) == []
