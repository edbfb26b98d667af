"""standardise_inputs: the run is that of the script that standardises its data, whatever the loop does with them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from sessions import Cnn, diagnosis_of, images, mlp, record_with, session_of, table, watched
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import advisor
from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, standardise_inputs
from advisor.remedies.standardise_inputs import MEAN, SCALE, Parameters

PLAN = Plan.of("standardise_inputs")
SIZES = torch.tensor([1.0, 100.0, 0.01, 1e4, 5.0, 1.0])


def raw_table() -> tuple[Tensor, Tensor]:
    """Features of six sizes, the last one constant."""
    x, y = table()
    x = x * SIZES + SIZES
    x[:, 5] = 7.0
    return x, y


def standardised(x: Tensor) -> Tensor:
    scale = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(scale > 0, scale, 1.0)


def losses(session: Session, plan: Plan | None = None) -> list[float]:
    """Of training, by epoch; and at the end of all training data in eval mode."""
    torch.manual_seed(5)
    record = watched(session, plan)
    assert record.problems == ()
    clean = record.series["clean_train_loss"].values[-1]
    return [float(v) for v in (*record.series["train_loss"].values[:, 0], *clean)]


def unscaled() -> Session:
    return session_of(mlp(), raw_table())


def bright_images() -> Session:
    x, y = images()
    return session_of(Cnn(), ((x * 60 + 128).clamp(0, 255), y))


FITTING = (unscaled, bright_images)


def test_same_run_as_with_standardised_data() -> None:
    """Training and the clean pass in eval mode give the losses of the script that standardises its table."""
    x, y = raw_table()
    repaired, written = mlp(), mlp()
    written.load_state_dict(repaired.state_dict())
    found = losses(session_of(repaired, (x, y)), PLAN)
    assert found == pytest.approx(losses(session_of(written, (standardised(x), y))), rel=1e-4)
    for name, value in written.state_dict().items():
        assert torch.allclose(repaired.state_dict()[name], value, atol=1e-5)


def test_channels_of_images() -> None:
    """Each channel has its own mean and deviation; the model stays the repaired one after the loop."""
    x, y = images()
    x = torch.cat([x * 9 + 50, x / 20, x + 3], 1)
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    seen: list[Tensor] = []
    session = session_of(model, (x, y))
    watched(session, PLAN)
    assert torch.allclose(model.get_buffer(MEAN).flatten(), x.mean((0, 2, 3)), rtol=1e-5)
    assert torch.allclose(model.get_buffer(SCALE).flatten(), x.std((0, 2, 3), correction=0), rtol=1e-5)
    model[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(x)
    assert torch.allclose(seen[0].mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(seen[0].std((0, 2, 3), correction=0), torch.ones(3), atol=1e-4)


@pytest.mark.parametrize(
    ("first", "shape", "axis"), [(nn.Linear(5, 3), (24, 7, 5), 2), (nn.Conv1d(7, 3, 2), (24, 7, 5), 1)]
)
def test_series(first: nn.Module, shape: tuple[int, ...], axis: int) -> None:
    """Variables of (N, T, F) are the last axis; channels of a 1-d convolution are the middle one."""
    x = torch.randn(shape) * 30 + 12
    model = nn.Sequential(first, nn.Flatten(), nn.LazyLinear(3))
    model(x)
    standardise_inputs.apply(session_of(model, (x, table()[1])), Parameters())
    others = [d for d in range(3) if d != axis]
    assert torch.allclose(model.get_buffer(MEAN).flatten(), x.mean(others), rtol=1e-4)


def test_bytes() -> None:
    """Images of bytes become standardised floating numbers before the model gets them."""
    x = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8)
    model = Cnn()
    watched(session_of(model, (x, table()[1])), PLAN)
    written = Cnn()
    written.load_state_dict({k: v for k, v in model.state_dict().items() if "advisor" not in k})
    plain = x.double()
    expected = written(((plain - plain.mean()) / plain.std(correction=0)).float())
    assert torch.allclose(model(x), expected, atol=1e-4)


def test_one_mean_for_all() -> None:
    """per="all" keeps what differs between features."""
    session = unscaled()
    standardise_inputs.apply(session, Parameters(per="all"))
    x = raw_table()[0]
    assert session.model.get_buffer(MEAN) == pytest.approx(float(x.mean()), rel=1e-5)
    assert session.model.get_buffer(SCALE) == pytest.approx(float(x.std(correction=0)), rel=1e-5)


def trained(model: nn.Module, loader: Any, given: Callable[[Tensor], Tensor], train: Any = None) -> advisor.Record:
    """A loop that does something with a batch before the model gets it."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    watch = advisor.watch(range(3), model, optimizer, train=train, plan=PLAN, report=False)
    for _ in watch:
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(given(x)), y).backward()
            optimizer.step()
    assert watch.record.problems == ()
    return watch.record


def test_loop_that_flattens() -> None:
    """Each pixel of an image that the loop flattens has the mean and deviation of its channel, which are noted."""
    x, y = images()
    x = torch.cat([x * 9 + 50, x / 20], 1)
    model, loader = nn.Sequential(nn.Linear(128, 3)), DataLoader(TensorDataset(x, y), batch_size=8)
    record = trained(model, loader, lambda x: x.flatten(1), loader)
    note: Any = record.facts["remedy.standardise_inputs"]
    assert {"samples": 24, "from": "data set", "reached": True}.items() <= note.items()
    assert torch.allclose(torch.tensor(note["mean"]), x.mean((0, 2, 3)), rtol=1e-5)
    assert torch.allclose(torch.tensor(note["scale"]), x.std((0, 2, 3), correction=0), rtol=1e-5)
    mean = x.mean((0, 2, 3))[:, None].expand(2, 64).flatten()
    assert torch.allclose(model.get_buffer(MEAN), mean, rtol=1e-5)


def test_loop_that_scales() -> None:
    """Where the model gets other numbers than the loader gives, the first batch of what it gets is measured."""
    x, y = raw_table()
    model, loader = mlp(), DataLoader(TensorDataset(x, y), batch_size=8)
    trained(model, loader, lambda x: x / 255, loader)
    assert torch.allclose(model.get_buffer(MEAN), x[:8].mean(0) / 255, rtol=1e-4)
    assert torch.allclose(model.get_buffer(SCALE)[:5], (x[:8].std(0, correction=0) / 255)[:5], rtol=1e-4)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(*raw_table(), strict=True))


@pytest.mark.parametrize("loader", [DataLoader(Stream(), batch_size=8), [[part[:8] for part in raw_table()]]])
def test_without_a_data_set(loader: Any) -> None:
    """A stream, and batches that come from no loader at all, are measured by their first batch."""
    model = mlp()
    record = trained(model, loader, lambda x: x)
    assert record.facts["remedy.standardise_inputs"] == {"samples": 0, "from": "first batch", "reached": True}
    assert torch.allclose(model.get_buffer(MEAN), raw_table()[0][:8].mean(0), rtol=1e-4)


def test_part_of_the_data_is_measured() -> None:
    """Samples are spread evenly; a sampler over a part of the data set shows only that."""
    x = torch.arange(100.0)[:, None].expand(100, 6)
    session = session_of(mlp(), (x, torch.arange(100) % 3))
    standardise_inputs.apply(session, Parameters(samples=10))
    assert torch.equal(session.model.get_buffer(MEAN), torch.full((6,), 45.0))
    part = session_of(mlp(), (x, torch.arange(100) % 3))
    sampler = torch.utils.data.SubsetRandomSampler(range(10, 20))
    part.train = DataLoader(part.train.dataset, batch_size=8, sampler=sampler)  # type: ignore[union-attr]
    standardise_inputs.apply(part, Parameters())
    assert torch.equal(part.model.get_buffer(MEAN), torch.full((6,), 14.5))


def test_model_goes_on_standardising() -> None:
    """Copies, pickles, saved states and compiled models compute what the repaired model computes."""
    session = unscaled()
    watched(session, PLAN)
    model, x = session.model.eval(), raw_table()[0]
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301  our own bytes
        assert torch.equal(model(x), twin(x))
    torch.compiler.reset()
    assert torch.allclose(torch.compile(model, backend="eager", fullgraph=True)(x), model(x))
    other = unscaled()
    standardise_inputs.apply(other, Parameters())
    other.model.load_state_dict(model.state_dict())
    assert torch.equal(other.model.eval()(x), model(x))
    assert torch.equal(model.half()(x.half()).isfinite(), torch.ones(24, 3, dtype=torch.bool))


def test_second_loop() -> None:
    """A second loop over the same model does not standardise twice."""
    session = unscaled()
    watched(session, PLAN)
    before = session.model(raw_table()[0])
    session.optimizers[0].param_groups[0]["lr"] = 0.0
    watched(session, PLAN)
    assert torch.equal(before, session.model(raw_table()[0]))


def test_tokens_are_refused() -> None:
    """Token numbers are no inputs to scale."""
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 3))
    with pytest.raises(CannotApply, match="inputs are no numbers"):
        standardise_inputs.apply(session_of(model, (torch.randint(9, (24, 6)), table()[1])), Parameters())


def test_candidates() -> None:
    """Where the rule fired or the first layer gets something else than the scale of 1; nothing for standard inputs."""
    both = [Parameters(), Parameters(per="all")]
    assert standardise_inputs.candidates(diagnosis_of("unscaled_inputs"), Evidence(record_with())) == both
    raw = {"mean": 0.1, "std": 40.0, "largest": 100.0, "smallest": 0.1}
    assert standardise_inputs.candidates(diagnosis_of(), Evidence(record_with(first_layer_input=raw))) == both
    fine = {"mean": 0.1, "std": 1.0, "largest": 1.1, "smallest": 0.9}
    assert standardise_inputs.candidates(diagnosis_of(), Evidence(record_with(first_layer_input=fine))) == []
    assert standardise_inputs.candidates(diagnosis_of(), Evidence(record_with())) == []
