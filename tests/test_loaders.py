"""Which of a script's loaders trains, told from its variables before the loop runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from advisor.loaders import choose, loaders_near


def loader(*, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.zeros(4, 1)), batch_size=2, shuffle=shuffle)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train_loader", "val_loader"),
        ("trainloader", "testloader"),
        ("trainLoader", "valLoader"),
        ("tr", "va"),
        ("dl_train", "dev"),
        ("tr_dl", "te_dl"),
        ("trn", "val2"),
    ],
)
def test_names_tell(train: str, val: str) -> None:
    """Whatever their samplers are."""
    held = {train: loader(), val: loader(shuffle=True)}
    assert choose(held) == (held[train], held[val])


@pytest.mark.parametrize(
    "name", ["text_loader", "tensor_loader", "teacher", "values", "device_loader", "developers", "transformed", "tree"]
)
def test_a_word_that_only_begins_like_a_short_one_tells_nothing(name: str) -> None:
    """`te` is no `text`, `tr` no `tree`, `val` no `values`: such a loader goes by its sampler."""
    held = {name: loader(shuffle=True), "other": loader()}
    assert choose(held) == (held[name], held["other"])
    held = {name: loader(), "other": loader(shuffle=True)}
    assert choose(held) == (held["other"], held[name])


def test_where_names_do_not_tell_shuffling_does() -> None:
    """One that shuffles trains, one in order validates."""
    held = {"a": loader(shuffle=True), "b": loader()}
    assert choose(held) == (held["a"], held["b"])


def test_the_only_one_trains() -> None:
    """A loop without validation."""
    held = {"data": loader()}
    assert choose(held) == (held["data"], None)


def test_a_doubt_is_left_open() -> None:
    """Two that train by their name, or two that nothing tells apart."""
    assert choose({"train_a": loader(), "train_b": loader()}) == (None, None)
    assert choose({"a": loader(), "b": loader()}) == (None, None)


def test_one_loader_by_two_names_is_one() -> None:
    """`self.train_loader = train_loader`."""
    one = loader()
    assert choose({"train_loader": one, "train": one}) == (one, None)


def test_variables_attributes_and_dictionaries_are_searched() -> None:
    """Of the frame that calls, and of those around it."""

    def asked(trainer: object) -> tuple[Any, Any]:
        return loaders_near()

    def within(train: object) -> tuple[Any, Any]:
        return asked(None)

    mine = [loader(shuffle=True)]
    assert asked(SimpleNamespace(train_loader=mine[0]))[0] is mine[0]
    assert asked({"train": mine[0]})[0] is mine[0]
    assert within(mine[0])[0] is mine[0]
