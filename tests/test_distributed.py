"""Two processes with DistributedDataParallel (gloo): the same weights bit for bit, one record, no deadlock."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

import advisor
from advisor.store import Store


def train(rank: int, folder: Path, watched: bool) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    y = (x[:, 0] > 0).long()
    model = nn.parallel.DistributedDataParallel(
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    sampler: DistributedSampler[int] = DistributedSampler(TensorDataset(x, y), 2, rank)
    loader = DataLoader(TensorDataset(x, y), 8, sampler=sampler)
    val = DataLoader(TensorDataset(x, y), 32)
    loop = advisor.watch(range(3), model, optimizer, train=loader, val=val, report=False) if watched else range(3)
    for epoch in loop:
        sampler.set_epoch(epoch)
        model.train()
        for a, b in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(a), b).backward()
            optimizer.step()
    torch.save(model.module.state_dict(), folder / f"weights-{watched}-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_ranks_train_as_without_watch(tmp_path: Path) -> None:
    """Rank 0 is watched and evaluates on its own, rank 1 passes through; both keep their weights."""
    forked = multiprocessing.get_context("fork")
    for watched in (True, False):
        folder = tmp_path / str(watched)
        folder.mkdir()
        ranks = [forked.Process(target=train, args=(rank, folder, watched)) for rank in (0, 1)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(60)
            assert rank.exitcode == 0
    for rank in (0, 1):
        one = torch.load(tmp_path / "True" / f"weights-True-{rank}.pt", weights_only=True)
        other = torch.load(tmp_path / "False" / f"weights-False-{rank}.pt", weights_only=True)
        assert all(torch.equal(one[key], other[key]) for key in other)
    (info, _), *more = Store().run_infos()
    assert not more
    record = Store().record(info.id)
    assert record.info.status == "finished"
    assert record.problems == ()
    assert len(record.epochs["val_accuracy"].dropna()) == 3


def train_with_schedule(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.manual_seed(0)
    x = torch.randn(32, 4)
    y = (x[:, 0] > 0).long()
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    plan = advisor.Plan.of("learning_rate_schedule") + advisor.Plan.of("augmentation")
    for _ in advisor.watch(
        range(3), model, optimizer, train=DataLoader(TensorDataset(x, y), 8), plan=plan, report=False
    ):
        for a, b in DataLoader(TensorDataset(x, y), 8):
            optimizer.zero_grad()
            functional.cross_entropy(model(a), b).backward()
            optimizer.step()
    torch.save((optimizer.param_groups[0]["lr"], model.module.state_dict()), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_plan_acts_on_every_rank(tmp_path: Path) -> None:
    """A plan moves the rate and changes batches on both ranks, having seen one first: their weights stay equal."""
    forked = multiprocessing.get_context("fork")
    processes = [forked.Process(target=train_with_schedule, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    (rate, weights), (other_rate, others) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert rate == other_rate
    assert rate < 0.1
    assert all(torch.equal(weights[key], others[key]) for key in weights)
