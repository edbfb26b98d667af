"""shuffle: every sample once an epoch, in the orders that torch's `shuffle=True` draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from orders import Numbers, drawn, session_over
from sessions import diagnosis_of, mlp, record_with, session_of, table, watched
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
)

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, shuffle
from advisor.remedies.shuffle import Parameters


def in_order() -> Session:
    return session_over(DataLoader(TensorDataset(*table()), batch_size=8))


FITTING = (in_order,)


@pytest.mark.parametrize("batch_size", [16, None])
def test_another_order_in_every_epoch(batch_size: int | None) -> None:
    """Two epochs have all samples, once each, in two orders; after the loop the loader reads as before."""
    loader = DataLoader(Numbers(), batch_size=batch_size)
    session = session_over(loader)
    shuffle.apply(session, Parameters())
    one, two = ([int(i) for i in torch.cat([torch.as_tensor(b).reshape(-1) for b in loader])] for _ in range(2))
    assert sorted(one) == sorted(two) == list(range(100))
    assert len({tuple(one), tuple(two), tuple(range(100))}) == 3
    for leave in session.leave_actions:
        leave()
    assert [int(i) for i in torch.cat([torch.as_tensor(b).reshape(-1) for b in loader])] == list(range(100))


@pytest.mark.parametrize("generator", [False, True])
def test_the_orders_are_those_of_shuffle_true(*, generator: bool) -> None:
    """From the loader's own generator where it has one; nothing is drawn beyond what torch draws."""

    def loader(**how: Any) -> DataLoader[Any]:
        torch.manual_seed(3)
        own = torch.Generator().manual_seed(5) if generator else None
        return DataLoader(Numbers(), batch_size=16, generator=own, **how)

    written = loader(shuffle=True)
    expected, state = [drawn(written) for _ in range(2)], torch.get_rng_state()
    session = session_over(DataLoader(Numbers()))
    planned = session.train = loader()
    shuffle.apply(session, Parameters())
    assert [drawn(planned) for _ in range(2)] == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_same_run_as_of_a_script_that_shuffles() -> None:
    """Every weight is that of a loop over a loader with shuffle=True."""
    repaired, written = mlp(), mlp()
    written.load_state_dict(repaired.state_dict())
    session, other = session_of(repaired, table()), session_of(written, table())
    session.train = DataLoader(TensorDataset(*table()), batch_size=8)
    other.train = DataLoader(TensorDataset(*table()), batch_size=8, shuffle=True)
    torch.manual_seed(1)
    watched(session, Plan.of("shuffle"))
    torch.manual_seed(1)
    watched(other)
    assert all(torch.equal(a, b) for a, b in zip(repaired.parameters(), written.parameters(), strict=True))


def test_distributed_sampler_begins_to_shuffle() -> None:
    """The user's own sampler shuffles among its rank's share, and no longer after the loop."""
    sampler = DistributedSampler(Numbers(), num_replicas=2, rank=0, shuffle=False)
    session = session_over(DataLoader(Numbers(), batch_size=10, sampler=sampler))
    shuffle.apply(session, Parameters())
    assert drawn(session.train) != list(range(0, 100, 2))  # type: ignore[arg-type]  # it has a loader
    for leave in session.leave_actions:
        leave()
    assert drawn(session.train) == list(range(0, 100, 2))  # type: ignore[arg-type]


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class Drawer(BatchSampler):
    """A batch sampler of the user's own."""


def test_refused() -> None:
    """No loader, a stream, batches of the user's own, and a loader that shuffles already."""
    own = DataLoader(Numbers(), batch_sampler=Drawer(SequentialSampler(Numbers()), 4, drop_last=False))
    refused: dict[str, DataLoader[Any] | None] = {
        "not known; pass train=": None,
        "IterableDataset has no indices": DataLoader(Stream()),
        "Drawer draws its own batches": own,
        "RandomSampler chooses the order already": DataLoader(Numbers(), shuffle=True),
    }
    for reason, loader in refused.items():
        with pytest.raises(CannotApply, match=reason):
            shuffle.apply(session_over(loader), Parameters())


@pytest.mark.parametrize(
    ("seen", "count"),
    [({"sampler": "SequentialSampler"}, 1), ({"sampler": "RandomSampler"}, 0), ({"same_order": True}, 1)],
)
def test_candidates(seen: dict[str, Any], count: int) -> None:
    """Only where the samples come in the order of the data set."""
    evidence = Evidence(record_with(train_identities=seen))
    assert len(shuffle.candidates(diagnosis_of("unshuffled_batches"), evidence)) == count
