"""Random transforms that a plan leaves out, taken out of the script line by line; and where an edit declines, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictures import PICTURES, STANDARD, TRAIN, VAL, WEAKER, pictured
from planned import planned, written

from advisor.patching import write_out
from advisor.patching.source import Source
from advisor.plan import Plan


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "v2.Compose([v2.ToImage(), v2.RandomRotation(30), v2.ToDtype(torch.float32, scale=True)])",
            "v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])",
        ),
        (
            "transforms.Compose([transforms.ToTensor(), transforms.RandomErasing(),])",
            "transforms.Compose([transforms.ToTensor(),])",
        ),
        (
            "transforms.Compose([transforms.ToTensor(), v2.Compose([v2.GaussianNoise(), v2.RandomErasing()])])",
            "transforms.Compose([transforms.ToTensor()])",
        ),
        (
            "nn.Sequential(v2.PILToTensor(), v2.RandomAffine(20), v2.ToDtype(torch.float32, scale=True))",
            "nn.Sequential(v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True))",
        ),
        (
            "transforms.Compose([v2.RandomCrop(8, padding=1), transforms.RandomCrop(6), v2.RandomResizedCrop(8), "
            "transforms.ToTensor()])",
            "transforms.Compose([transforms.CenterCrop((6, 6)), v2.Resize((8, 8)), transforms.ToTensor()])",
        ),
        (
            "transforms.Compose([transforms.RandomApply([transforms.ColorJitter(0.5)], p=0.5), "
            "transforms.Compose([transforms.RandomRotation(9), transforms.ToTensor()])])",
            "transforms.Compose([transforms.Compose([transforms.ToTensor()])])",
        ),
    ],
    ids=["v2", "last of a list", "a list of nothing but chance", "sequential", "crops", "a list in a list"],
)
def test_random_members_leave_the_list(before: str, after: str, tmp_path: Path) -> None:
    """The others stay, and what cut or resized at random does so in the middle."""
    path = pictured(tmp_path, (TRAIN, f"train_transform = {before}"))
    assert ([f"-train_transform = {before}", f"+train_transform = {after}"], []) == written(path, WEAKER)


OWN_LINES = """\
train_transform = transforms.Compose(
    [
        # bent
        transforms.RandomRotation(30),  # degrees
        transforms.ColorJitter(0.5),
        transforms.ToTensor(),  # to [0, 1]
        transforms.RandomErasing(),
    ]
)"""


def test_members_with_lines_of_their_own(tmp_path: Path) -> None:
    """They go with their lines and comments; a comment above, or of another member, stays."""
    expected = [
        "-        transforms.RandomRotation(30),  # degrees",
        "-        transforms.ColorJitter(0.5),",
        "-        transforms.RandomErasing(),",
    ]
    assert (expected, []) == written(pictured(tmp_path, (TRAIN, OWN_LINES)), WEAKER)
    path = pictured(tmp_path, (TRAIN, OWN_LINES.replace("        transforms.RandomErasing(),\n", "")))
    changed, reasons = written(path, STANDARD)
    assert changed[0].startswith("+        transforms.Normalize([0.")
    assert reasons == []
    text = "[transforms.ToTensor(),  # to [0, 1]\n    transforms.RandomErasing()]"
    path = pictured(tmp_path, (TRAIN, f"train_transform = transforms.Compose({text})"))
    assert ([], ["a comment stands between the members at line 16"]) == written(path, WEAKER)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (
            "members = [transforms.RandomRotation(30), transforms.ToTensor()]\n"
            "train_transform = transforms.Compose(members)",
            "line 17 does not list the members of `transforms.Compose` one by one",
        ),
        (
            "turn = transforms.RandomRotation(30)\ntrain_transform = transforms.Compose([turn, transforms.ToTensor()])",
            "the RandomRotation of the transform of the training data does not stand in the list of line 17",
        ),
        (
            f"{TRAIN}\ntrain_transform.transforms.insert(0, transforms.RandomVerticalFlip())",
            "`train_transform` is used at 17, 18; give training a Compose([...]) of its own",
        ),
        (
            f"{TRAIN}\nprint(train_transform)",
            "`train_transform` is used at 17, 18; give training a Compose([...]) of its own",
        ),
        (
            f"{TRAIN}\ntest = pictures(8, 32, train_transform)",
            "line 16 makes the transform of another data set too; give training one of its own",
        ),
        (
            f"{TRAIN[18:]}\nfor _ in range(2):\n    {TRAIN}",
            "line 18 makes 2 transforms, of which training has one",
        ),
        (
            "from torchvision.transforms import RandomResizedCrop\n"
            + TRAIN.replace("transforms.RandomRotation(30)", "RandomResizedCrop((4, 16))"),
            "the script names RandomResizedCrop without its module, and does not import Resize",
        ),
    ],
)
def test_what_is_not_certain_stays_in_the_plan(before: str, reason: str, tmp_path: Path) -> None:
    """No list, one that is built or changed elsewhere, or one that something else reads too."""
    assert ([], [reason]) == written(pictured(tmp_path, (TRAIN, before)), WEAKER)


TENSORS = """\
class Tensors(torch.utils.data.Dataset):
    def __init__(self, size, transform=None):
        self.x, self.transform = torch.rand(size, 3, 8, 8), transform

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        x = self.x[index]
        return x if self.transform is None else self.transform(x), index % 2


def noisy(x):
    return x + torch.rand_like(x)


train_loader = DataLoader(Tensors(24, {}), batch_size=8)
val_loader = DataLoader(Tensors(8), batch_size=8)
"""


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        ("noisy", "the transform of the training data is noisy itself, and no Compose([...]) that it can leave"),
        (
            "v2.RandomErasing()",
            "the transform of the training data is RandomErasing itself, and no Compose([...]) that it can leave",
        ),
        ("v2.Compose([v2.RandomErasing()])", "nothing would be left in the Compose of line 28"),
        (
            "v2.Compose([noisy, v2.Identity()])",
            "the noisy of the transform of the training data does not stand in the list of line 28",
        ),
    ],
)
def test_what_is_all_of_a_transform_stays(transform: str, reason: str, tmp_path: Path) -> None:
    """Nothing is left that the data set could be given, or no list is there."""
    path = pictured(tmp_path, (PICTURES, TENSORS.replace("{}", transform)))
    assert ([], [reason]) == written(path, WEAKER)


def test_a_list_that_validation_shares(tmp_path: Path) -> None:
    """The remedy parts the data set in two while it runs; the source has one line for both."""
    shared = f"{TRAIN}\nparts = torch.utils.data.random_split(pictures(32, 0, train_transform), [24, 8])"
    loader = "train_loader = DataLoader(pictures(24, 0, train_transform), batch_size=8)"
    path = pictured(
        tmp_path,
        (TRAIN, shared),
        (loader, "train_loader = DataLoader(parts[0], batch_size=8)"),
        (VAL, "val_loader = DataLoader(parts[1], batch_size=8)"),
    )
    reason = "line 16 makes the transform of validation too; give training a Compose([...]) of its own"
    assert ([], [reason]) == written(path, WEAKER)


def test_line_ends_are_kept(tmp_path: Path) -> None:
    """Lines that go and lines that come have the script's own."""
    path = pictured(tmp_path, (TRAIN, OWN_LINES.replace("        transforms.RandomErasing(),\n", "")))
    before = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(before)
    plan = WEAKER + STANDARD
    source, kept = write_out(Source(path, before), plan, planned(path, plan))
    assert kept == {}
    assert source.text.count(b"\n") == source.text.count(b"\r\n") == before.count(b"\r\n") - 1


def test_a_share_of_the_samples(tmp_path: Path) -> None:
    """No transform of torchvision's makes the remedy's draws."""
    reason = "which samples are augmented is drawn by advisor, and by no transform of torchvision"
    assert ([], [reason]) == written(pictured(tmp_path), Plan.of("weaker_augmentation", share=0.25))


def test_a_name_that_a_function_has_too(tmp_path: Path) -> None:
    """A parameter of the same name is another variable."""
    path = pictured(tmp_path, ("train_transform", "transform"))
    expected = TRAIN.replace("train_transform", "transform")
    changed = [f"-{expected}", "+" + expected.replace("transforms.RandomRotation(30), ", "")]
    assert (changed, []) == written(path, WEAKER)


def test_a_list_in_a_dictionary(tmp_path: Path) -> None:
    """Training and validation each have their own there."""
    text = (
        'made = {\n    "train": transforms.Compose([transforms.RandomRotation(30), transforms.ToTensor()]),\n'
        '    "val": transforms.Compose([transforms.ToTensor()]),\n}\ntrain_transform = made["train"]'
    )
    path = pictured(tmp_path, (TRAIN, text), ("transforms.Compose([transforms.ToTensor()]))", 'made["val"])'))
    line = text.splitlines()[1]
    assert ([f"-{line}", "+" + line.replace("transforms.RandomRotation(30), ", "")], []) == written(path, WEAKER)


def test_a_list_for_training_alone_in_a_function(tmp_path: Path) -> None:
    """One branch was taken once, the other for validation."""
    line = "        return transforms.Compose([transforms.RandomRotation(30), transforms.ToTensor()])"
    function = f"def made(train):\n    if train:\n{line}\n    return transforms.Compose([transforms.ToTensor()])\n\n\n"
    path = pictured(
        tmp_path,
        (TRAIN, f"{function}train_transform = made(True)"),
        (VAL, "val_loader = DataLoader(pictures(8, 24, made(False)), batch_size=8)"),
    )
    assert ([f"-{line}", "+" + line.replace("transforms.RandomRotation(30), ", "")], []) == written(path, WEAKER)
