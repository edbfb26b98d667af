"""Which layers are trained: cut off, left out of the optimizer, frozen; and who looks as it was made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from watched import every_step, usual, watched  # noqa: F401  a fixture

from advisor.evidence import Evidence
from advisor.finding import Finding
from advisor.instruments import layers_of
from advisor.instruments._initial import looks_initial
from advisor.record import Record
from advisor.rulebook import load_rules

pytestmark = pytest.mark.usefixtures("every_step")
RULES = load_rules(counts={})


class Classifier(nn.Module):
    """An encoder, a head, and a head that nobody calls."""

    def __init__(self, cut: str = "") -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16))
        self.head = nn.Linear(16, 2)
        self.unused = nn.Linear(16, 3) if cut == "unused" else None
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:
        if self.cut == "no_grad":
            with torch.no_grad():
                return self.head(self.encoder(x))
        features = self.encoder(x)
        return self.head(features.detach() if self.cut == "detach" else features)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 1e-3)


def said(record: Record, rule: str) -> Finding | None:
    outcome = RULES[rule].run(Evidence(record))
    assert outcome.result in ("fired", "clear"), outcome
    return outcome.finding


def trained(model: nn.Module) -> None:
    """Another task, long enough to show."""
    x = torch.randn(64, 4)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        functional.mse_loss(model(x)[:, 0], x.prod(1)).backward()
        optimizer.step()


def test_a_detached_encoder_gets_no_gradient() -> None:
    """Both its layers are named; it looks as it was made, so that it is a fault."""
    model = Classifier("detach")
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    assert record.facts["layers_without_gradient"] == ["encoder.0", "encoder.2"]
    assert record.facts["called_layers"] == ["encoder.0", "encoder.2"]
    finding = said(record, "parameters_without_gradient")
    assert finding is not None
    assert (finding.severity, finding.layers) == ("problem", ("encoder.0", "encoder.2"))


def test_a_detached_backbone_that_was_trained_is_a_choice() -> None:
    """Linear probing by detach(): a note, and no problem."""
    model = Classifier("detach")
    trained(nn.Sequential(model.encoder, nn.Linear(16, 1)))
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    finding = said(record, "parameters_without_gradient")
    assert finding is not None
    assert finding.severity == "note"


def test_an_unused_head_is_a_note() -> None:
    """It is in the optimizer and never runs."""
    model = Classifier("unused")
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    assert (record.facts["layers_without_gradient"], record.facts["called_layers"]) == (["unused"], [])
    finding = said(record, "parameters_without_gradient")
    assert finding is not None
    assert finding.severity == "note"


def test_a_loss_without_a_graph_is_a_problem_of_all_layers() -> None:
    """`requires_grad_()` on a number makes backward pass, and no gradient arrives anywhere."""
    model = Classifier()
    optimizer = adam(model)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).detach().requires_grad_().backward()
        optimizer.step()

    finding = said(watched(model, optimizer, step), "parameters_without_gradient")
    assert finding is not None
    assert (finding.severity, len(finding.layers)) == ("problem", 3)


def test_a_detached_embedding_is_heard_running() -> None:
    """Its input is of integers, which the eval-mode pass does not read; a hook of the first epoch hears it."""

    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(8, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embedding((x[:, :3] > 0).long()).mean(1).detach())

    model = Bag()
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    assert record.facts["called_layers"] == ["embedding"]
    assert sum(len(m._forward_pre_hooks) for m in model.modules()) == 0


def test_a_layer_that_is_used_now_and_then_has_its_gradient_then() -> None:
    """Skipped in two of three steps: nothing is missing."""

    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.middle, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            x = self.first(x)
            return self.last(self.middle(x) if self.calls % 3 == 0 else x)

    model = Skips()
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    assert record.facts["layers_without_gradient"] == []


def test_gradual_unfreezing_is_no_fault_at_any_time() -> None:
    """The encoder is frozen in epoch 0 and trained from epoch 1 on."""
    model = Classifier()
    optimizer = adam(model)
    epochs = iter(range(3))
    record = watched(
        model,
        optimizer,
        usual(model, optimizer),
        epochs=3,
        begin=lambda: model.encoder.requires_grad_(next(epochs) > 0),
    )
    assert (record.facts["layers_without_gradient"], record.facts["frozen_layers"]) == ([], [])


def test_an_optimizer_made_too_early_is_stale() -> None:
    """The old head is in the optimizer, the new one is not."""
    model = Classifier()
    optimizer = adam(model)
    model.head = nn.Linear(16, 2)
    record = watched(model, optimizer, usual(model, optimizer))
    assert (record.facts["layers_not_optimized"], record.facts["stale_parameters"]) == (["head"], 2)
    finding = said(record, "parameters_not_optimized")
    assert finding is not None
    assert finding.confidence == 0.97


def test_a_random_part_left_out_is_a_fault_and_a_trained_one_a_choice() -> None:
    """Only the head is handed to the optimizer; the encoder gets gradients all the same."""
    random, probed = Classifier(), Classifier()
    trained(nn.Sequential(probed.encoder, nn.Linear(16, 1)))
    found = []
    for model in (random, probed):
        optimizer = torch.optim.Adam(model.head.parameters(), 1e-3)
        record = watched(model, optimizer, usual(model, optimizer))
        assert record.facts["layers_not_optimized"] == ["encoder.0", "encoder.2"]
        found.append(said(record, "parameters_not_optimized"))
    assert (found[0] is not None, found[1] is None) == (True, True)


def test_what_an_optimizer_of_somebody_else_moves_is_optimized() -> None:
    """Two optimizers, and `watch` was given one of them."""
    model = Classifier()
    optimizer = torch.optim.Adam(model.head.parameters(), 1e-3)
    other = torch.optim.SGD(model.encoder.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> None:
        other.zero_grad()
        usual(model, optimizer)(x, y)
        other.step()

    assert watched(model, optimizer, step).facts["layers_not_optimized"] == []


def test_a_learnt_part_of_the_loss_is_not_stale() -> None:
    """A temperature that only the optimizer has is trained: the model need not know it."""
    model, temperature = Classifier(), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.Adam([*model.parameters(), temperature], 1e-3)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(x) * temperature, y).backward()
        optimizer.step()

    assert watched(model, optimizer, step).facts["stale_parameters"] == 0


def test_frozen_is_what_never_required_a_gradient() -> None:
    """A frozen encoder is named, and that it looks random too."""
    model = Classifier()
    model.encoder.requires_grad_(False)
    record = watched(model, optimizer := adam(model), usual(model, optimizer))
    assert record.facts["frozen_layers"] == ["encoder.0", "encoder.2"]
    assert record.facts["fresh_layers"] == ["encoder.0", "encoder.2", "head"]
    assert record.facts["layers_without_gradient"] == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(20, 8),
        lambda: nn.Linear(2, 32),
        lambda: nn.Linear(8, 1, bias=False),
        lambda: nn.Conv2d(3, 8, 3),
        lambda: nn.Embedding(50, 8, padding_idx=0),
        lambda: nn.GRU(8, 16),
        lambda: nn.BatchNorm1d(8),
        lambda: nn.TransformerEncoderLayer(32, 4, 64),
    ],
)
def test_torchs_own_initialisations_look_initial(make: Callable[[], nn.Module]) -> None:
    """Every layer of them, as the constructor leaves it."""
    torch.manual_seed(0)
    assert all(looks_initial(layer.module, layer.parameters) for layer in layers_of(make()))


def test_directions_and_moved_biases_do_not_look_initial() -> None:
    """A rank-one part in the weight; a bias over its bound; a scale that is not constant."""
    weight, bias, norm = nn.Linear(32, 32), nn.Linear(32, 32), nn.BatchNorm1d(4)
    with torch.no_grad():
        weight.weight += 0.1 * torch.ones(32, 1) @ torch.randn(1, 32)
        bias.bias[0] = 0.2  # 1 / sqrt(32) is 0.18
        norm.weight[0] = 1.1
    assert [looks_initial(m, list(m.parameters())) for m in (weight, bias, norm)] == [False, False, False]
