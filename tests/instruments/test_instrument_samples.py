"""What reaches loaders -> who the samples are: equal ones have equal identities, and only these."""

from __future__ import annotations

import pytest
import torch
from handed import Noisy, facts, labels, loader, rows
from torch.utils.data import DataLoader, Subset, TensorDataset

from advisor.instruments._identity import identities


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
)
def test_equal_rows_have_equal_identities_and_others_do_not(dtype: torch.dtype) -> None:
    """Of 256 rows, told apart by one number each, all identities differ; a copy has the same."""
    x = torch.zeros(256, 3000)
    x[:, 0] = torch.arange(256)  # of a long row some numbers are read, the first among them
    x = x.to(dtype)
    found = identities([x])
    assert len(found.unique()) == 256
    assert torch.equal(found, identities([x.clone()]))


def test_an_identity_is_of_all_inputs_together() -> None:
    """(user, item): two rows with the same user and other items are two samples; so is the pair turned around."""
    user, item = torch.tensor([[1], [1], [2]]), torch.tensor([[5], [6], [5]])
    assert len(identities([user, item]).unique()) == 3
    assert not torch.equal(identities([user, item]), identities([item, user]))


def test_identities_draw_no_random_number() -> None:
    """The user's generator is where it was."""
    before = torch.get_rng_state()
    identities([rows(8)])
    assert torch.equal(before, torch.get_rng_state())


def test_samples_are_counted() -> None:
    """Forty rows of which ten are copies: 30 are distinct, and 20 are not alone; all come again, in the same order."""
    x = rows(30)
    found = facts(loader(torch.cat([x, x[:10]])), loader(rows(16, 1)))["train_identities"]
    assert (found["data_set"], found["given"], found["read"], found["distinct"]) == (40, 40, 40, 30)
    assert (found["copies"], found["again"], found["same_order"]) == (0.5, 1.0, True)
    assert (found["sampler"], found["shared"]) == ("SequentialSampler", 0)


def test_a_shuffled_epoch_has_the_same_samples_in_another_order() -> None:
    """All come again, elsewhere."""
    found = facts(loader(rows(64), shuffle=True), loader(rows(16, 1)))["train_identities"]
    assert (found["again"], found["same_order"]) == (1.0, False)


def test_copies_of_training_samples_in_validation_are_counted() -> None:
    """Six of sixteen validation rows are training rows; none of them is new in the second epoch."""
    x = rows(40)
    found = facts(loader(x, shuffle=True), loader(torch.cat([x[:6], rows(10, 1)])))["val_identities"]
    assert (found["read"], found["in_training"], found["again"], found["same_targets"]) == (16, 6, 1.0, True)
    assert (found["change"], found["stream"], found["shared_indices"]) == (0.0, False, None)


def test_inputs_that_change_while_their_targets_stay_are_told() -> None:
    """Noise of the size of the rows: nothing comes again, and the mean change is about one deviation."""
    found = facts(loader(rows(40)), DataLoader(Noisy(32), 8))["val_identities"]
    assert (found["again"], found["same_targets"]) == (0.0, True)
    assert 0.5 < found["change"] < 1.5


def test_two_subsets_of_one_data_set_share_indices() -> None:
    """0 … 29 and 20 … 39 have ten in common."""
    data = TensorDataset(rows(40), labels(40))
    train, val = DataLoader(Subset(data, range(30)), 8), DataLoader(Subset(data, range(20, 40)), 8)
    assert facts(train, val)["val_identities"]["shared_indices"] == 10


def test_what_one_data_set_is_validated_on_is_no_part_of_training() -> None:
    """Two samplers share a data set of forty: ten are for validation."""
    data = TensorDataset(rows(40), labels(40))
    train, val = DataLoader(data, 8, sampler=range(30)), DataLoader(data, 8, sampler=range(30, 40))
    found = facts(train, val)["train_identities"]
    assert (found["data_set"], found["given"], found["shared"]) == (40, 30, 10)


def test_rows_of_few_values_have_few_bits() -> None:
    """Six columns of yes or no: six bits name a row."""
    x = torch.tensor([[float(i >> bit & 1) for bit in range(6)] for i in range(64)])
    assert facts(loader(rows(16)), loader(x))["val_identities"]["bits"] == pytest.approx(6.0)
