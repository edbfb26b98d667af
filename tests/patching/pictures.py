"""The short script of `planned` on images of torchvision's, whose transforms are patched."""

from __future__ import annotations

from pathlib import Path

import torchvision  # noqa: F401  a trial too has it before its script begins
from planned import script

from advisor.plan import Plan

DATA = """\
x = torch.randn(64, 4)
y = (x.sum(1) > 0).long()
train_loader = DataLoader(TensorDataset(x, y), batch_size=16)
val_loader = DataLoader(TensorDataset(x, y), batch_size=64)
"""
IMPORTS = """\
from torchvision import transforms
from torchvision.datasets import FakeData
from torchvision.transforms import v2
"""
PICTURES = """\
def pictures(size, first, transform):
    return FakeData(size, (3, 8, 8), 2, transform=transform, random_offset=first)


train_transform = transforms.Compose([transforms.RandomRotation(30), transforms.ToTensor()])
train_loader = DataLoader(pictures(24, 0, train_transform), batch_size=8)
val_loader = DataLoader(pictures(8, 24, transforms.Compose([transforms.ToTensor()])), batch_size=8)
"""
TRAIN = "train_transform = transforms.Compose([transforms.RandomRotation(30), transforms.ToTensor()])"
VAL = "val_loader = DataLoader(pictures(8, 24, transforms.Compose([transforms.ToTensor()])), batch_size=8)"
NET = ("nn.Sequential(nn.Linear(4, 8), nn.ReLU()", "nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU()")
WEAKER, STANDARD = Plan.of("weaker_augmentation"), Plan.of("standardise_inputs")


def pictured(folder: Path, *replaced: tuple[str, str]) -> Path:
    """The short script on images of torchvision's, with some of its text replaced."""
    lazy = ("optimizer = torch.optim", "model(torch.zeros(1, 3, 8, 8))\noptimizer = torch.optim")
    whole = [("import advisor\n", f"{IMPORTS}\nimport advisor\n"), (DATA, PICTURES), NET, lazy]
    return script(folder, *whole, *replaced)
