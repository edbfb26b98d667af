"""weaker_augmentation: what is random is left out, what is not stays, and the run is that of the script without it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sessions import Cnn, diagnosis_of, images, record_with, session_of, watched
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset
from torchvision.transforms import v2

from advisor.errors import CannotApply
from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, weaker_augmentation
from advisor.remedies._transforms import LeftOut, without_chance
from advisor.remedies.weaker_augmentation import Parameters, Sometimes


class Pictures(Dataset[Any]):
    """Images with a transform, as torchvision's data sets have it."""

    def __init__(self, transform: Callable[[Tensor], Any] | None) -> None:
        (self.x, self.y), self.transform = images(), transform

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Any:
        return self.x[index] if self.transform is None else self.transform(self.x[index]), self.y[index]


def noisy(x: Tensor) -> Tensor:
    return x + torch.randn_like(x)


def half(x: Tensor) -> Tensor:
    return x / 2


def session_over(data: Any, val: Any = None) -> Session:
    session = session_of(Cnn(), images())
    session.train = DataLoader(data, batch_size=8)
    session.val = None if val is None else DataLoader(val, batch_size=8)
    return session


def function() -> Session:
    return session_over(Pictures(noisy))


def composed() -> Session:
    return session_over(Pictures(v2.Compose([v2.RandomHorizontalFlip(), v2.Lambda(half), v2.RandomErasing(p=0.1)])))


FITTING = (function, composed)


@pytest.mark.parametrize(
    ("strong", "plain"),
    [
        (noisy, None),
        (v2.Compose([v2.RandomRotation(180), v2.Lambda(half), v2.GaussianNoise()]), half),
        (nn.Sequential(v2.RandomAffine(20), v2.Normalize([0.5], [2.0])), v2.Normalize([0.5], [2.0])),
        (v2.Compose([v2.RandomCrop(8, padding=2), v2.Compose([v2.RandAugment(), v2.Lambda(half)])]), half),
        (v2.Compose([v2.RandomApply([v2.ColorJitter(0.5)], p=0.1), v2.Lambda(half)]), half),
    ],
)
def test_same_run_as_without_what_is_random(strong: Any, plain: Any) -> None:
    """Weights and losses are, bit for bit, those of the script whose data set has the deterministic part only."""
    repaired, written = Cnn(), Cnn()
    written.load_state_dict(repaired.state_dict())
    one, two = session_of(repaired, images()), session_of(written, images())
    one.train, two.train = (DataLoader(Pictures(t), batch_size=8) for t in (strong, plain))
    watched(one, Plan.of("weaker_augmentation"))
    watched(two)
    assert all(torch.equal(a, b) for a, b in zip(repaired.parameters(), written.parameters(), strict=True))
    assert one.train.dataset.transform is strong  # as it was, after the loop


def test_size_is_kept() -> None:
    """A random crop becomes one from the middle, a random resized crop a resizing, so that batches still fit."""
    x = images()[0][0]
    crop, _ = without_chance(v2.Compose([v2.RandomCrop(4), v2.Lambda(half)]), [(x,)])
    assert torch.equal(crop(x), x[:, 2:6, 2:6] / 2)
    resized, left_out = without_chance(v2.RandomResizedCrop(4), [(x,)])
    assert left_out == [LeftOut("RandomResizedCrop", instead="Resize((4, 4))")]
    assert torch.equal(resized(x), v2.Resize((4, 4))(x))


def test_pillow_and_numpy() -> None:
    """Samples may be images of Pillow, or arrays."""
    from PIL import Image

    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    plain, left_out = without_chance(v2.Compose([v2.ColorJitter(0.9), v2.PILToTensor()]), [(image,)])
    assert left_out == [LeftOut("ColorJitter", at=(0,), among=2)]
    assert torch.equal(plain(image), v2.PILToTensor()(image))
    array = np.ones((4, 4))
    plain, left_out = without_chance(lambda a: a + np.random.rand(4, 4), [(array,)])
    assert left_out == [LeftOut("<lambda>")]
    assert plain(array) is array


def test_a_list_of_nothing_but_chance() -> None:
    """What is left gives back what it is given; where each one stood is said from the outside in."""
    x = images()[0][0]
    inner = v2.Compose([v2.GaussianNoise(), v2.RandomErasing()])
    plain, left_out = without_chance(v2.Compose([inner]), [(x,)])
    assert plain(x) is x
    expected = [LeftOut("GaussianNoise", at=(0, 0), among=2), LeftOut("RandomErasing", at=(0, 1), among=2)]
    assert left_out == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_share_of_the_samples(workers: int) -> None:
    """About a quarter of 2,400 is augmented, other ones in every epoch, also by workers; the rest is as it is."""
    data = Pictures(noisy)
    data.x, data.y = data.x.repeat(50, 1, 1, 1), data.y.repeat(50)
    session = session_over(data)
    weaker_augmentation.apply(session, Parameters(share=0.25))
    masks = []
    for _ in range(2):
        loader = DataLoader(data, batch_size=100, num_workers=workers)
        masks.append(torch.cat([x for x, _ in loader]).ne(data.x).any(1).any(1).any(1))
    for mask in masks:
        assert float(mask.float().mean()) == pytest.approx(0.25, abs=0.06)  # five standard deviations: 0.053
    if workers:
        halves = masks[0].reshape(-1, 100)
        assert not torch.equal(halves[0], halves[1])  # the first batches of two workers
    assert not torch.equal(masks[0], masks[1])


def test_draws_are_not_the_users() -> None:
    """The wrapper draws nothing from any global generator, and pickles for workers that are spawned."""
    wrapper = pickle.loads(pickle.dumps(Sometimes(half, half, 0.5)))  # noqa: S301  our own bytes
    before = torch.get_rng_state()
    wrapper(torch.ones(1))
    assert torch.equal(before, torch.get_rng_state())


def test_nested_data_sets() -> None:
    """Subsets and concatenations are looked into."""
    parts = [Pictures(noisy), Pictures(noisy), Pictures(half)]
    session = session_over(Subset(ConcatDataset(parts), range(72)))
    weaker_augmentation.apply(session, Parameters())
    assert torch.equal(parts[0][3][0], images()[0][3])
    assert torch.equal(parts[1][3][0], images()[0][3])
    assert parts[2].transform is half


def test_validation_of_the_same_data_set_is_not_touched() -> None:
    """The training part reads a copy without the noise, validation the data set as it was; afterwards all is back."""
    data = Pictures(noisy)
    train, val = Subset(data, range(16)), Subset(data, range(16, 24))
    session = session_over(train, val)
    weaker_augmentation.apply(session, Parameters())
    assert torch.equal(train[3][0], images()[0][3])
    assert not torch.equal(val[3][0], images()[0][19])
    for leave in session.leave_actions:
        leave()
    assert train.dataset is data
    assert data.transform is noisy
    with pytest.raises(CannotApply, match="validation reads the same data set"):
        weaker_augmentation.apply(session_over(data, data), Parameters())


def changing(x: Tensor) -> list[float]:
    return [float(x.mean() + torch.rand(()))]


def test_refused() -> None:
    """No transform, nothing random in it, and one that cannot be left out because it makes something else."""
    for transform in (None, half, v2.Compose([v2.Lambda(half)])):
        with pytest.raises(CannotApply, match="no transform in which something is random"):
            weaker_augmentation.apply(session_over(Pictures(transform)), Parameters())
    with pytest.raises(CannotApply, match="changing is random and changes what kind of thing"):
        weaker_augmentation.apply(session_over(Pictures(changing)), Parameters())


def test_candidates() -> None:
    """Where it is blamed, or the training data change from epoch to epoch."""
    both = [Parameters(), Parameters(share=0.25)]
    seen: dict[str, Any] = {"again": 0.0, "data_set": 1300}
    assert weaker_augmentation.candidates(diagnosis_of("excessive_augmentation"), Evidence(record_with())) == both
    evidence = Evidence(record_with(train_identities=seen))
    assert weaker_augmentation.candidates(diagnosis_of(), evidence) == both
    evidence = Evidence(record_with(train_identities=seen | {"again": 1.0}))
    assert weaker_augmentation.candidates(diagnosis_of(), evidence) == []
