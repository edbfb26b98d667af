"""The instruments of signal and stability on loops with known numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset
from watched import STEPS, every_step, loader, usual, watched  # noqa: F401  a fixture

import advisor
from advisor.instruments import _sentinel, known_instruments
from advisor.instruments._scanning import scan
from advisor.instruments.nonlinearity import _widens
from advisor.record import Record

pytestmark = pytest.mark.usefixtures("every_step")
NAN = float("nan")


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def run(model: nn.Module, *, rate: float = 0.1, epochs: int = 2, step: Callable[..., None] | None = None) -> Record:
    optimizer = torch.optim.SGD(model.parameters(), rate)
    return watched(model, optimizer, step or usual(model, optimizer), epochs=epochs)


# ------------------------------------------------------------------------------------------------------ non_finite


def test_a_healthy_run_has_no_such_fact() -> None:
    """What it has is a median and a peak of the gradient, one an epoch."""
    record = run(network())
    assert "non_finite" not in record.facts
    peak, median = record.series["gradient_peak"].values, record.series["gradient_median"].values
    assert (peak.shape, median.shape) == ((2, 1), (2, 1))
    assert (peak >= median).all()


def test_the_sentinel_knows_the_norm_of_every_step() -> None:
    """The peak of an epoch is the largest norm of the first layer's bias gradient, measured in the loop itself."""
    model, norms = network(), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        usual(model, optimizer)(x, y)
        norms.append(float(model[0].bias.grad.norm()))

    record = watched(model, optimizer, step)
    expected = [max(norms[:STEPS]), max(norms[STEPS:])]
    assert record.series["gradient_peak"].values[:, 0].tolist() == pytest.approx(expected)


def test_gradients_filled_with_zeros_in_place_are_not_judged() -> None:
    """They are the same tensor at every step: what they were is gone, and nothing is said of it."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad(set_to_none=False)
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    assert "gradient_peak" not in watched(model, optimizer, step).series


def test_the_hook_is_gone_with_the_loop() -> None:
    """The optimizer keeps no gradient of ours afterwards."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watched(model, optimizer, usual(model, optimizer))
    assert len(optimizer._optimizer_step_post_hooks) == 0


@pytest.mark.parametrize("broken", [1, 4, 9])
def test_a_gradient_that_breaks_at_an_ordinary_loss(broken: int) -> None:
    """The gradient of sqrt at zero: broken at that step, the loss at the next one."""
    model, count = network(), 0
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        nonlocal count
        count += 1
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        (loss + torch.sqrt(model[0].bias * 0.0).sum() if count == broken else loss).backward()
        optimizer.step()

    found: Any = watched(model, optimizer, step, epochs=3).facts["non_finite"]
    assert (found["phase"], found["gradient_step"], found["step"]) == ("train", broken, broken + 1)
    assert found["epoch"] == broken // STEPS
    assert found["data"] == {"checked": 48, "of": 48, "inputs": 0, "targets": 0, "kind": "", "columns": []}
    assert found["weights"] == ["0", "2"]
    assert len(found["before"]) == min(10, broken)


def test_operations_without_a_finite_slope_are_named() -> None:
    """Those of the first step's graph, most suspicious first."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        (functional.cross_entropy(model(x), y) + torch.log(model[0].weight.pow(2).sum().sqrt())).backward()
        optimizer.step()

    assert watched(model, optimizer, step).facts["singular_operations"] == ["sqrt", "pow", "log"]


# ------------------------------------------------------------------------------------------------------------ scan


class Samples(Dataset[Any]):
    """Four samples made one by one, with a generator of its own kind: the global one."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        torch.rand(3)
        x = torch.full((2,), NAN if index == 2 else 1.0)
        return {"x": x, "target": torch.tensor(float("inf") if index == 0 else 0.0)}


def test_a_scan_counts_samples_columns_and_sides() -> None:
    """One NaN in column 1 of row 0 and one in 2 of row 3; one infinite target."""
    x, y = torch.zeros(5, 3), torch.zeros(5)
    x[0, 1], x[3, 2], y[4] = NAN, NAN, float("inf")
    found = scan(DataLoader(TensorDataset(x, y), batch_size=2))
    assert found == {"checked": 5, "of": 5, "inputs": 2, "targets": 1, "kind": "NaN and infinity", "columns": [1, 2]}


def test_a_scan_leaves_the_random_state_as_it_was() -> None:
    """The data set draws numbers; afterwards nobody can tell."""
    before = torch.get_rng_state()
    found: Any = scan(DataLoader(Samples()))
    assert (found["inputs"], found["targets"], found["checked"]) == (1, 1, 4)
    assert torch.equal(before, torch.get_rng_state())


def test_a_collate_function_may_clean() -> None:
    """Its batches are what the loop gets: what it has filled is not bad."""

    def clean(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        return torch.stack([x for x, _ in samples]).nan_to_num(), torch.stack([y for _, y in samples])

    x = torch.zeros(4, 2)
    x[1] = NAN
    found: Any = scan(DataLoader(TensorDataset(x, torch.zeros(4)), batch_size=2, collate_fn=clean))
    assert (found["checked"], found["inputs"]) == (4, 0)


def test_a_mask_of_minus_infinity_is_no_fault() -> None:
    """0 and -inf, as attention adds them; with another finite number -inf is one."""
    mask = torch.tensor([[0.0, -math.inf], [0.0, 0.0]])
    assert scan(DataLoader(TensorDataset(mask, torch.zeros(2))))["inputs"] == 0  # type: ignore[index]  # a data set has a scan
    assert scan(DataLoader(TensorDataset(mask + 1, torch.zeros(2))))["inputs"] == 1  # type: ignore[index]  # likewise


# -------------------------------------------------------------------------------------------------- initialization


def test_scale_is_the_root_mean_square_by_the_root_of_the_inputs() -> None:
    """A constant of 0.5 over four inputs: 1; zeros: 0; units that are alike have no spread, rows of ±1 all of it."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    nn.init.constant_(model[0].weight, 0.5)
    nn.init.constant_(model[0].bias, 0.25)
    nn.init.zeros_(model[2].weight)
    record = run(model)
    assert record.series["initial_scale"].values.tolist() == [[1.0, 0.0]]
    spread = record.series["units_spread"].values
    assert spread[0, 0] == 0.0
    assert spread.shape == (3, 2)  # at the start, after the first epoch, at the end


# --------------------------------------------------------------------------------------------------- nonlinearity


class Functional(nn.Module):
    """The activation is a function, not a module."""

    def __init__(self, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.activation = nn.Linear(4, 8), nn.Linear(8, 2), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x)))


@pytest.mark.parametrize(
    ("model", "joints", "expected"),
    [
        (nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), 1, [["0", "1"]]),
        (nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2)), 1, [["0", "3"]]),
        (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)), 1, [["0", "2"]]),
        (nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), 1, []),
        (nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)), 2, []),
        (nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 2)), 1, []),
        (Functional(torch.tanh), 1, []),
        (Functional(lambda x: x), 1, [["first", "second"]]),
        (nn.Linear(4, 2), 0, []),
    ],
    ids=["none", "identity in eval", "batch norm", "activation", "layer norm", "narrow", "tanh", "x", "one layer"],
)
def test_where_nothing_lies_between(model: nn.Module, joints: int, expected: list[list[str]]) -> None:
    """Read from the numbers that enter layers: however the model is written."""
    record = run(model)
    assert (record.facts["joints"], record.facts["linear_joints"]) == (joints, expected)


def test_a_factorisation_is_narrower_than_both_ends() -> None:
    """8 → 2 → 8 is one; 2 → 32 → 2 and 8 → 8 → 2 are none."""
    linear = nn.Linear
    assert not _widens(linear(8, 2), linear(2, 8))
    assert _widens(linear(2, 32), linear(32, 2))
    assert _widens(linear(8, 8), linear(8, 2))


# ------------------------------------------------------------------------------- normalisation, schedule and swings


def test_numbers_in_a_batch_statistic() -> None:
    """A linear layer has one position; frozen statistics are told apart."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    facts = run(model).facts
    assert facts["batch_norm"] == {"layer": "1", "positions": 1, "layers": 1}
    assert (facts["batch_norm_trains"], facts["dropout_rate"]) == (True, 0.3)
    model[1].eval()
    assert run(model).facts["batch_norm_trains"] is False


def test_the_rate_at_the_end_of_each_epoch() -> None:
    """Halved with every batch of six: 2^-6 of 0.5 after the first epoch."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    train = loader()
    watch = advisor.watch(range(2), model, optimizer, train=train, scheduler=scheduler, report=False)
    for _ in watch:
        for x, y in train:
            usual(model, optimizer)(x, y)
            scheduler.step()
    assert watch.record.series["epoch_lr"].values[:, 0].tolist() == [0.5 / 2**6, 0.5 / 2**12]
    assert watch.record.facts["scheduler_steps"] == 6


def test_peak_and_memory_of_known_losses() -> None:
    """Twelve losses: ten of 1, then two of 6: the last five have a mean of 3, and the two are neighbours."""
    instrument = known_instruments()["swings"]()
    losses = torch.ones(12)
    losses[10:] = 6.0
    seen: dict[str, float] = {}
    live: Any = type(
        "Live", (), {"losses": losses, "emit": lambda _, name, __, value: seen.update({name: float(value)})}
    )
    instrument.epoch_end(live())
    apart = [-5 / 6] * 10 + [25 / 6] * 2
    memory = sum(a * b for a, b in zip(apart[1:], apart, strict=False)) / sum(a * a for a in apart)
    assert seen == pytest.approx({"loss_peak": 3.0, "loss_median": 1.0, "loss_memory": memory})


def test_watching_changes_no_weight() -> None:
    """Bit for bit, with all of these instruments and a batch norm."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    bare = copy.deepcopy(model)
    run(model)
    optimizer = torch.optim.SGD(bare.parameters(), 0.1)
    for _ in range(2):
        for x, y in loader():
            usual(bare, optimizer)(x, y)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), bare.state_dict().values(), strict=True))


def test_gradients_in_one_place_are_not_judged() -> None:
    """The views of a bucket are new tensors at every step and lie in the same memory."""
    model, bucket = network(), torch.zeros(8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        bucket.copy_(model[0].bias.grad)
        model[0].bias.grad = bucket.view(8)
        optimizer.step()

    assert "gradient_peak" not in watched(model, optimizer, step).series


def test_a_sentinel_that_cannot_pack_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs inside the user's step, among the optimizer's other hooks: an exception there would be theirs."""
    monkeypatch.setattr(_sentinel, "CHUNK", 2)
    monkeypatch.setattr(_sentinel, "_reused", lambda _: 1 / 0)
    assert "gradient_peak" not in run(network()).series
