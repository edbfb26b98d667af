"""Probes that only call the model: what they say of functions whose answer is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from subjects import Function, batch, subject
from torch import Tensor, nn

from advisor.probes import Batch, run_probe


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# --------------------------------------------------------------------------------------------- batch_independence


def independence(function: Any, count: int = 2, x: Tensor | None = None) -> dict[str, Any]:
    batches = [batch(torch.randn(16, 6, 3)) for _ in range(count)] if x is None else [batch(x), batch(x + 1)]
    return run_probe("batch_independence", subject(function, batches))


def test_a_function_of_each_sample_does_not_depend_on_the_others() -> None:
    """Exactly nothing changes."""
    found = independence(lambda x: x.flatten(1).cumsum(1))
    assert (found["first"], found["last"], found["noise"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("function", "first", "last"),
    [
        (lambda x: x.reshape(6, -1, 3).transpose(0, 1), True, True),  # cuts the samples up
        (lambda x: torch.softmax(x, 0), True, True),  # over the batch
        (lambda x: x - x.mean(0), True, True),
        (lambda x: x.cumsum(0), False, True),  # a sample sees those before it
        (lambda x: x.flip(0).cumsum(0).flip(0), True, False),
    ],
)
def test_which_samples_depend_on_others(function: Any, first: bool, last: bool) -> None:
    """The first and the last sample tell in which direction a batch is mixed."""
    found = independence(function)
    assert (found["first"] > 0.01, found["last"] > 0.01) == (first, last)


def test_batch_norm_mixes_on_purpose_only_without_running_averages() -> None:
    """With them the samples are independent in eval mode; without, the probe says that it is the layer's purpose."""
    usual, by_batch = nn.BatchNorm1d(6), nn.BatchNorm1d(6, track_running_stats=False)
    batches = [batch(torch.randn(16, 6)) for _ in range(2)]
    assert run_probe("batch_independence", subject(usual, batches))["first"] == 0.0
    found = run_probe("batch_independence", subject(by_batch, batches))
    assert found["statistics"] is True
    assert float(str(found["first"])) > 0.01


def test_a_model_that_draws_numbers_is_not_taken_for_one_that_mixes() -> None:
    """The same numbers are drawn each time, so that noise of the model's own cancels."""
    found = independence(lambda x: x + torch.randn_like(x))
    assert (found["first"], found["noise"]) == (0.0, 0.0)


def test_nothing_is_said_of_a_single_batch_or_of_a_graph() -> None:
    """Without a second batch of the same shape, and where an input is a square of the samples, there is no answer."""
    assert independence(lambda x: x, count=1) == {}
    edges = Batch((torch.randn(16, 3), torch.ones(16, 16)), {}, None)
    assert run_probe("batch_independence", subject(lambda x, a: a @ x, [edges, edges])) == {}


# --------------------------------------------------------------------------------------------------- zeroed_inputs


def test_a_model_that_ignores_its_inputs_loses_nothing_without_them() -> None:
    """Same loss, and not one output moves."""
    bias = torch.randn(3)
    batches = [batch(torch.randn(20, 4), torch.randint(0, 3, (20,))) for _ in range(3)]
    found = run_probe("zeroed_inputs", subject(lambda x: bias.expand(len(x), 3), batches))
    assert (found["loss"], found["moved"], found["ignored"]) == (found["zeroed"], 0.0, True)


def test_a_model_that_reads_the_answer_loses_it() -> None:
    """Logits that are the one-hot input: ln of the softmax with it, ln 3 without."""
    y = torch.arange(30) % 3
    x = nn.functional.one_hot(y).float()
    found = run_probe("zeroed_inputs", subject(lambda x: x, [batch(x, y)]))
    assert found["loss"] == pytest.approx(float(torch.log(torch.e + torch.tensor(2.0)) - 1), rel=1e-5)
    assert found["zeroed"] == pytest.approx(float(torch.log(torch.tensor(3.0))), rel=1e-5)
    assert (found["moved"], found["ignored"]) == (1.0, False)


def test_a_model_that_has_learnt_nothing_yet_uses_its_inputs() -> None:
    """Its loss is that of guessing with and without them, and its outputs differ all the same."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        found = run_probe("zeroed_inputs", subject(model, [batch(torch.randn(20, 4), torch.randint(0, 3, (20,)))]))
    assert found["loss"] == pytest.approx(found["zeroed"], abs=0.2)
    assert not found["ignored"]


def test_zero_is_a_value_for_tokens() -> None:
    """Integer inputs are indices: nothing is said."""
    tokens = batch(torch.randint(0, 5, (8, 4)), torch.zeros(8, dtype=torch.long))
    assert run_probe("zeroed_inputs", subject(lambda x: x.float(), [tokens])) == {}


# --------------------------------------------------------------------------------------------------- future_inputs


def windows() -> tuple[Tensor, Tensor]:
    text = torch.arange(200) * 7 % 23
    pieces = text.unfold(0, 13, 3)
    return pieces[:, :-1], pieces[:, 1:]


def shown(tokens: Tensor) -> Tensor:
    return nn.functional.one_hot(tokens, 23).float()


@pytest.mark.parametrize(
    ("function", "sees"),
    [
        (lambda t: shown(t), False),
        (lambda t: shown(t).cumsum(1), False),  # the past only
        (lambda t: shown(t).flip(1).cumsum(1).flip(1), True),
        (lambda t: shown(t).mean(1, keepdim=True).expand(-1, t.shape[1], -1), True),  # attention without a mask
    ],
)
def test_who_sees_the_future(function: Any, sees: bool) -> None:
    """An output depends on later inputs exactly where the function looks at them."""
    x, y = windows()
    found = run_probe("future_inputs", subject(function, [batch(x, y)]))
    assert (float(str(found["depends"])) > 1e-3) is sees
    assert (found["shifted"], found["positions"]) == (1.0, 12)


def test_a_flattened_target_is_taken_apart_again() -> None:
    """`loss(out.view(-1, C), y.view(-1))` is a sequence task all the same."""
    x, y = windows()
    found = run_probe("future_inputs", subject(shown, [batch(x, y.reshape(-1))]))
    assert (found["shifted"], found["positions"]) == (1.0, 12)


def test_one_target_a_sample_is_no_sequence_task() -> None:
    """A sequence classifier may see all of its input."""
    x, _ = windows()
    assert run_probe("future_inputs", subject(shown, [batch(x, torch.zeros(len(x)))])) == {}


# -------------------------------------------------------------------------------------------------- single_feature


def test_a_copy_of_the_target_is_found() -> None:
    """Column 2 is the label, scaled: it explains everything; column 0 is noise."""
    y = torch.randint(0, 4, (200,))
    x = torch.randn(200, 5)
    x[:, 2] = y * 3.0 - 1
    found = run_probe("single_feature", subject(lambda x: x, [batch(x, y)]))
    assert (found["column"], found["columns"], found["samples"]) == (2, 5, 200)
    assert found["explained"] == pytest.approx(1.0)
    assert float(str(found["second"])) < 0.1


def test_the_correlation_ratio_is_that_of_the_analysis_of_variance() -> None:
    """Oracle: scipy's F statistic, η² = F / (F + (N - C) / (C - 1))."""
    from scipy.stats import f_oneway

    y = torch.arange(150) % 3
    x = torch.randn(150, 2, dtype=torch.float64) + y[:, None] * torch.tensor([1.0, 0.2])
    found = run_probe("single_feature", subject(lambda x: x, [batch(x, y)]))
    f = float(f_oneway(*(x[y == c, 0].numpy() for c in range(3))).statistic)
    assert found["explained"] == pytest.approx(f / (f + (150 - 3) / 2), rel=1e-9)


def test_of_numbers_it_is_the_squared_correlation() -> None:
    """Oracle: numpy's corrcoef."""
    import numpy as np

    x = torch.randn(120, 3, dtype=torch.float64)
    y = x[:, 1] + torch.randn(120, dtype=torch.float64)
    found = run_probe("single_feature", subject(lambda x: x, [batch(x, y)]))
    assert found["column"] == 1
    assert found["explained"] == pytest.approx(np.corrcoef(x[:, 1], y)[0, 1] ** 2, rel=1e-9)


# ------------------------------------------------------------------------------------------------------- reference


def test_the_reference_knows_signal_from_noise() -> None:
    """Near 1 where the label is a smooth function of the inputs, near chance where it is drawn at random."""
    x = torch.randn(250, 4)
    kinds = {"signal": (x[:, 0] + x[:, 1] > 0).long(), "noise": torch.randint(0, 2, (250,))}
    scores = {k: run_probe("reference", subject(lambda x: x, [batch(x, y)])) for k, y in kinds.items()}
    assert float(str(scores["signal"]["score"])) > 0.9
    assert float(str(scores["noise"]["score"])) < 0.62  # chance and two and a half standard errors


def test_its_ridge_leaves_one_out_as_by_hand() -> None:
    """Oracle: solve the system without a sample, and predict it."""
    from advisor.probes.reference import RIDGES, _distances, _ridge

    x, y = torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 1, dtype=torch.float64)
    squares = _distances(x)
    kernel = torch.exp(-squares / squares.median())
    rest = torch.arange(1, 40)
    system = kernel[rest][:, rest] + RIDGES[1] * torch.eye(39, dtype=torch.float64)
    by_hand = kernel[0, rest] @ torch.linalg.solve(system, y[rest] - y.mean()) + y.mean()
    assert float(_ridge(squares, y, ridge=RIDGES[1])[0]) == pytest.approx(float(by_hand), rel=1e-6)


def test_it_says_nothing_of_what_it_cannot_compare() -> None:
    """Tokens, several inputs, several targets a sample, a few samples: no score."""
    few = batch(torch.randn(20, 3), torch.randint(0, 2, (20,)))
    tokens = batch(torch.randint(0, 5, (200, 3)), torch.randint(0, 2, (200,)))
    pairs = Batch((torch.randn(200, 3), torch.randn(200, 3)), {}, torch.randint(0, 2, (200,)))
    several = batch(torch.randn(200, 3), torch.randn(200, 2))
    assert [run_probe("reference", subject(Function(lambda *x: x), [b])) for b in (few, tokens, pairs, several)] == [
        {},
        {},
        {},
        {},
    ]
