"""class_weights: training is weighted as the script that gave its loss the weights; validation is not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loss_twins import run, same
from sessions import diagnosis_of, mlp, record_with, session_of, table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset, random_split

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, class_weights
from advisor.remedies._labels import MOST_READ, labels_of
from advisor.remedies.class_weights import Parameters, weights_of

PLAN = Plan.of("class_weights")


def uneven(samples: int = 80) -> tuple[Tensor, Tensor]:
    """Every class once in ten of the first two, eight times of the last."""
    x, _ = table(samples)
    return x, (torch.arange(samples) % 10).clamp(max=2)


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, outputs))


def rare_classes() -> Session:
    return session_of(mlp(), uneven())


FITTING = (rare_classes,)


def inverse(labels: Tensor, power: float) -> Tensor:
    """Weights of the classes, on average 1 over the samples."""
    weights = (1 / labels.bincount().float()) ** power
    return weights / weights[labels].mean()


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("log_softmax", [False, True])
def test_training_is_weighted_and_validation_is_not(power: float, *, log_softmax: bool) -> None:
    """The losses are those of a script with `weight=` in its training loss, for cross_entropy and for nll_loss."""
    x, y = uneven()
    weights = inverse(y[:60], power)
    if log_softmax:

        def plain(output: Tensor, target: Tensor) -> Tensor:
            return F.nll_loss(output.log_softmax(1), target)
    else:
        plain = F.cross_entropy
    repaired = run(network(), (x, y), plain, Plan.of("class_weights", power=power))
    assert same(repaired, run(network(), (x, y), nn.CrossEntropyLoss(weights), val_loss=F.cross_entropy))


@pytest.mark.parametrize("sigmoid", [False, True])
def test_two_classes_are_weighted_by_pos_weight(*, sigmoid: bool) -> None:
    """One column of scores, or of probabilities: the positive class counts as many times as it is rarer."""
    x, _ = table(80)
    y = (torch.arange(80) % 5 == 0).float()[:, None]
    pos = torch.tensor([4.0])
    if sigmoid:

        def plain(output: Tensor, target: Tensor) -> Tensor:
            return F.binary_cross_entropy(output.sigmoid(), target)
    else:
        plain = F.binary_cross_entropy_with_logits
    right = run(network(1), (x, y), nn.BCEWithLogitsLoss(pos_weight=pos), val_loss=F.binary_cross_entropy_with_logits)
    assert same(run(network(1), (x, y), plain, PLAN), right)


@pytest.mark.parametrize("form", ["object", "function"])
def test_weights_that_are_the_wrong_way_round_are_replaced(form: str) -> None:
    """The classes' shares in the place of their inverse: training is weighted as if there were none."""
    x, y = uneven()
    shares = y[:60].bincount() / 60

    def turned(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target, weight=shares)

    repaired = run(network(), (x, y), nn.CrossEntropyLoss(shares) if form == "object" else turned, PLAN)
    assert same(repaired, run(network(), (x, y), nn.CrossEntropyLoss(inverse(y[:60], 1.0)), val_loss=turned))


def test_a_pos_weight_that_is_the_wrong_way_round_is_replaced() -> None:
    """A rare positive that counts a quarter."""
    x, _ = table(80)
    y = (torch.arange(80) % 5 == 0).float()[:, None]
    turned, right = (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([weight])) for weight in (0.25, 4.0))
    assert same(run(network(1), (x, y), turned, PLAN), run(network(1), (x, y), right, val_loss=turned))


def test_weights_that_a_call_has_are_kept() -> None:
    """A cost of each mistake is not the remedy's to change: nothing is weighted, and the record says so."""
    x, y = uneven()

    def costly(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target, weight=torch.tensor([3.0, 1.0, 2.0]))

    kept = run(network(), (x, y), costly, PLAN)
    assert same(kept, run(network(), (x, y), costly))
    assert not class_weights.took_effect(kept.record, Parameters())


def test_counts_of_the_evidence_need_no_data_set() -> None:
    """Where a loop feeds its batches by hand, the counts that reached the loss serve; a class without any weighs 1."""
    session = session_of(mlp(), uneven())
    session.train = None
    class_weights.apply(session, Parameters(counts=(10.0, 30.0)))
    assert weights_of((10.0, 30.0, 0.0), 1.0) == pytest.approx([2.0, 2 / 3, 1.0])


class Items(Dataset[tuple[Tensor, int]]):
    """Reads each sample as a file is read; `targets` are its labels, or pretend to be."""

    def __init__(self, labels: Tensor, targets: Tensor | None = None) -> None:
        self.labels_read, self.reads = labels, 0
        if targets is not None:
            self.targets = targets.tolist()

    def __len__(self) -> int:
        return len(self.labels_read)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.reads += 1
        torch.rand(1)  # as an augmentation draws
        return torch.zeros(6), int(self.labels_read[index])


def labels_in(data: Dataset[object]) -> list[int]:
    session = session_of(mlp(), uneven())
    session.train = DataLoader(data, batch_size=8, shuffle=True)
    _, labels = labels_of(session, "class_weights", every=True)
    return [int(label) for label in labels]


def test_labels_are_found_wherever_they_lie() -> None:
    """In a tensor, in a part of it, in a part of a part, as one-hot rows, in single samples."""
    x, y = uneven()
    torch.manual_seed(0)
    part, _ = random_split(TensorDataset(x, y), [60, 20])
    assert labels_in(TensorDataset(x, y)) == y.tolist()
    assert labels_in(part) == y[part.indices].tolist()
    assert labels_in(Subset(part, range(5, 35))) == y[part.indices[5:35]].tolist()
    assert labels_in(TensorDataset(x, F.one_hot(y).float())) == y.tolist()
    assert labels_in(Items(y)) == y.tolist()


def test_kept_labels_spare_the_reading_where_they_are_true() -> None:
    """`targets` of a data set are believed after a few samples; where they are others, all samples are read."""
    _, y = uneven()
    true, false = Items(y, y), Items(y, y.flip(0))
    assert labels_in(true) == labels_in(false) == y.tolist()
    assert (16, 96) == (true.reads, false.reads)


def test_reading_ends_at_some_thousand_samples() -> None:
    """Of more samples evenly spread ones are read for shares; for every single label that is too much."""
    labels = (torch.arange(3 * MOST_READ) % 10).clamp(max=1)
    session = session_of(mlp(), uneven())
    session.train = DataLoader(Items(labels), batch_size=8)
    _, some = labels_of(session, "class_weights", every=False)
    assert len(some) == MOST_READ
    assert float((some == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    with pytest.raises(CannotApply, match="labels of 15000 samples would have to be read"):
        labels_of(session, "balanced_sampling", every=True)


def test_what_has_no_classes_cannot_be_weighted() -> None:
    """Even classes, numbers, several labels a sample, a loss with weights of its own, a loss of numbers."""
    x, y = uneven()
    even = session_of(mlp(), table(24))
    with pytest.raises(CannotApply, match="equally frequent"):
        class_weights.apply(even, Parameters())
    for target in (torch.randn(80), torch.ones(80, 3), torch.arange(80)):
        with pytest.raises(CannotApply, match="expected one class a sample"):
            class_weights.apply(session_of(mlp(), (x, target)), Parameters())
    session = session_of(mlp(), (x, y))
    session.loss_fn = nn.CrossEntropyLoss(torch.ones(3))
    with pytest.raises(CannotApply, match="has weights already"):
        class_weights.apply(session, Parameters())
    session.loss_fn = nn.BCELoss(torch.tensor([0.25]))  # of each sample, and not of the positive class
    with pytest.raises(CannotApply, match="has weights already"):
        class_weights.apply(session, Parameters(counts=(80, 20)))
    session.loss_fn = nn.MSELoss()
    with pytest.raises(CannotApply, match="the loss is mse_loss"):
        class_weights.apply(session, Parameters())


@pytest.mark.parametrize(
    ("rules", "facts", "expected"),
    [
        (["class_imbalance"], {"label_counts": {"count": [90, 10]}}, [(90.0, 10.0)] * 2),
        (["class_imbalance"], {"label_counts": {"count": [9, 8], "names": [3, 4]}}, [None] * 2),
        ([], {"label_counts": {"count": [90, 10]}}, [(90.0, 10.0)] * 2),
        ([], {"label_counts": {"count": [50, 48]}}, []),
        (["class_imbalance"], {"loss": "mse_loss"}, []),
        ([], {}, []),
    ],
)
def test_candidates_carry_the_counts(rules: list[str], facts: dict[str, object], expected: list[object]) -> None:
    """Two powers with all classes' counts, where classes are uneven and the loss takes weights."""
    found = class_weights.candidates(diagnosis_of(*rules), Evidence(record_with(**facts)))  # type: ignore[arg-type]
    assert expected == [choice.counts for choice in found]
    assert [choice.power for choice in found] == [1.0, 0.5][: len(found)]
