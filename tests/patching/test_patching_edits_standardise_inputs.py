"""Inputs that a plan standardises, as `Normalize` in the script's transforms; and where an edit declines, why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from pictures import STANDARD, TRAIN, VAL, WEAKER, pictured
from planned import changes, script, written
from torchvision.datasets import FakeData
from torchvision.transforms.functional import to_tensor

from advisor.patching import make_patch
from advisor.plan import Plan

PLAIN = (TRAIN, "train_transform = transforms.Compose([transforms.ToTensor()])")


def numbers(line: str) -> list[float]:
    """Those of `Normalize([...], [...])`."""
    return [float(number) for number in re.findall(r"[0-9][0-9.e-]+", line.partition("Normalize(")[2])]


def moments(*axes: int) -> list[float]:
    """Means and deviations over some axes of the training images."""
    images = torch.stack([to_tensor(x) for x, _ in FakeData(24, (3, 8, 8), 2)])
    mean, deviation = images.mean(axes), images.std(axes, correction=0)
    return [*mean.reshape(-1).tolist(), *deviation.reshape(-1).tolist()]


def test_normalize_behind_the_last_member(tmp_path: Path) -> None:
    """In training and in validation, with the moments of the training images."""
    changed, reasons = written(pictured(tmp_path, PLAIN), STANDARD)
    assert numbers(changed[-1]) == pytest.approx(moments(0, 2, 3), rel=1e-6)
    new = changed[-1][changed[-1].index(", transforms.Normalize") : changed[-1].index("])), batch")]
    after = [line.replace("ToTensor()", f"ToTensor(){new}") for line in (PLAIN[1], VAL)]
    assert ([f"-{PLAIN[1]}", f"+{after[0]}", f"-{VAL}", f"+{after[1]}"], []) == (changed, reasons)


def test_normalize_on_a_line_of_its_own(tmp_path: Path) -> None:
    """A comment stays with its member, and one number for all channels is a list of one."""
    lines = "train_transform = transforms.Compose([\n    transforms.ToTensor(),  # to [0, 1]\n])"
    path = pictured(tmp_path, (TRAIN, lines))
    changed, reasons = written(path, Plan.of("standardise_inputs", per="all"))
    assert ("+    transforms.Normalize([", []) == (changed[0][:27], reasons)
    assert numbers(changed[0]) == pytest.approx(moments(0, 1, 2, 3), rel=1e-6)
    changed, reasons = written(pictured(tmp_path, (TRAIN, lines.replace("(),", "()"))), STANDARD)
    assert ["-    transforms.ToTensor()  # to [0, 1]", "+    transforms.ToTensor(),  # to [0, 1]"] == changed[:2]


def test_normalize_behind_a_lone_to_tensor(tmp_path: Path) -> None:
    """Both become a Compose of two."""
    path = pictured(
        tmp_path,
        (TRAIN, "train_transform = transforms.ToTensor()"),
        ("transforms.Compose([transforms.ToTensor()])", "transforms.ToTensor()"),
    )
    changed, reasons = written(path, STANDARD)
    assert reasons == []
    text = r"transforms\.Compose\(\[transforms\.ToTensor\(\), transforms\.Normalize\(\[.*\], \[.*\]\)\]\)"
    assert [bool(re.search(text, line)) for line in changed] == [False, True, False, True]


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        (
            ("loss_fn(model(x), y).backward()", "loss_fn(model(2 * x), y).backward()"),
            "the model gets no images (N, C, H, W), or not as the transform of the data set gives them",
        ),
        (
            (VAL, f"{VAL}\nlast = lambda: pictures(8, 32, transforms.ToTensor())"),
            "line 19 makes a ToTensor, whose images the run has not shown",
        ),
        (
            (PLAIN[1], "train_transform = transforms.functional.to_tensor"),
            "the transform of the training data is a function, or no call of the script was seen to make it",
        ),
        (
            (PLAIN[1], "train_transform = transforms.Compose([transforms.functional.to_tensor])"),
            "line 16 lists no ToTensor or ToDtype or ConvertImageDtype, which Normalize must follow",
        ),
        (
            (VAL, "val_loader = DataLoader([(x, y) for x, y in train_loader.dataset], batch_size=8)"),
            "the validation data have no transform, so Normalize has no place there",
        ),
    ],
)
def test_inputs_that_are_not_certain(replaced: tuple[str, str], reason: str, tmp_path: Path) -> None:
    """The loop scales them, they come another way too, or the list does not say what they are."""
    assert ([], [reason]) == written(pictured(tmp_path, PLAIN, replaced), STANDARD)


def test_inputs_that_are_no_images(tmp_path: Path) -> None:
    """A table that the script holds in tensors."""
    reason = "the model gets no images (N, C, H, W), or not as the transform of the data set gives them"
    assert ([], [reason]) == written(script(tmp_path), STANDARD)


V2 = "v2.Compose([v2.ToImage(), v2.RandomCrop(8, padding=2), v2.ToDtype(torch.float32, scale=True)])"


@pytest.mark.parametrize("plan", [WEAKER, STANDARD, WEAKER + STANDARD], ids=["weaker", "standard", "both"])
@pytest.mark.parametrize("transform", [TRAIN, f"train_transform = {V2}"], ids=["v1", "v2"])
def test_the_patched_script_trains_as_the_plan_does(transform: str, plan: Plan, tmp_path: Path) -> None:
    """Every loss is the same, bit for bit."""
    patch = make_patch(pictured(tmp_path, (TRAIN, transform)), plan)
    assert {} == patch.kept
    assert patch.proof is not None
    assert 0.0 == patch.proof.difference
    assert len(changes(patch.before, patch.after)) == (2 if plan == WEAKER else 4)


def test_a_loop_that_flattens_is_proven_too(tmp_path: Path) -> None:
    """Each pixel had the numbers of its channel."""
    path = pictured(tmp_path, ("nn.Flatten(), ", ""), ("model(x)", "model(x.flatten(1))"), ("1, 3, 8, 8)", "1, 192)"))
    patch = make_patch(path, STANDARD)
    assert {} == patch.kept
    assert patch.proof is not None
