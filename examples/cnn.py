"""A convolutional network with functional activations, on Fashion-MNIST where it is at hand, else on the digits.

    python examples/cnn.py                      # 8 × 8 digits, a few seconds
    python examples/cnn.py --data data          # Fashion-MNIST below data/FashionMNIST/raw, a minute on two cores

On Debian and Ubuntu the data come as a package of 31 MB:

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb data/package
    mkdir -p data/FashionMNIST/raw && cp data/package/usr/share/datasets/fashion-mnist/*.gz data/FashionMNIST/raw
    gunzip data/FashionMNIST/raw/*.gz
"""

import argparse
import os
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from torchvision.datasets import FashionMNIST

import advisor


class Net(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * (size // 4) ** 2, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


def load(folder: str | None) -> TensorDataset:
    if folder is None:
        digits = load_digits()
        return TensorDataset(
            torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
        )
    if not (Path(folder) / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").exists():
        raise SystemExit(f"no Fashion-MNIST below {folder}; how to get it: head {__file__}")
    fashion = FashionMNIST(folder, train=True, download=False)
    return TensorDataset(fashion.data[:, None].float() / 255, fashion.targets)


parser = argparse.ArgumentParser()
parser.add_argument("--data", default=os.environ.get("FASHION_MNIST") or None, help="holds FashionMNIST/raw")
parser.add_argument("--epochs", type=int, default=8)
arguments = parser.parse_args()

torch.manual_seed(0)
data = load(arguments.data)
train_data, val_data = random_split(data, [0.8, 0.2])
train_loader = DataLoader(train_data, batch_size=64, shuffle=True)
val_loader = DataLoader(val_data, batch_size=256)

model = Net(size=data.tensors[0].shape[-1])
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=arguments.epochs)

# No loss_fn, no val=: advisor.watch sees F.cross_entropy and the loaders by itself.
for _ in advisor.watch(range(arguments.epochs), model, optimizer, scheduler=scheduler):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        for x, y in val_loader:
            F.cross_entropy(model(x), y)
