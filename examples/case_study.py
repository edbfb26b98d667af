"""The case study: two look-alike classes of Fashion-MNIST, the tutorial's CNN, Adam at 1e-4.

    advisor fix examples/case_study.py --seeds 5            # let advisor find a plan
    advisor fix examples/case_study.py -- --lr 1e-3         # the counter-case: already at its ceiling

1,650 training images of T-shirts and shirts, validation on the 2,000 test images of the two. The real Fashion-MNIST
comes from Debian's package `dataset-fashion-mnist` (`apt-get download dataset-fashion-mnist && dpkg -x *.deb data`) or
from torchvision's download; the script looks in $FASHION_MNIST and in ./data.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

T_SHIRT, SHIRT = 0, 6
TRAINING_IMAGES = 1650


def find_data() -> Path | None:
    """The folder that holds the four idx files."""
    for root in (os.environ.get("FASHION_MNIST"), "data"):
        for found in sorted(Path(root).rglob("train-images-idx3-ubyte*")) if root else []:
            return found.parent
    return None


def read(folder: Path, name: str) -> np.ndarray:
    """One idx file, packed or not: uint8 of the shape that its header gives."""
    packed = folder / f"{name}.gz"
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    dimensions = content[3]
    shape = np.frombuffer(content, ">i4", dimensions, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def two_classes(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 1, 28, 28) in [0, 1] and targets (N,), 1 for a shirt."""
    images, labels = read(folder, f"{part}-images-idx3-ubyte"), read(folder, f"{part}-labels-idx1-ubyte")
    chosen = (labels == T_SHIRT) | (labels == SHIRT)
    return torch.from_numpy(images[chosen]).unsqueeze(1) / 255, torch.from_numpy(
        (labels[chosen] == SHIRT).astype("int64")
    )


def build() -> nn.Module:
    """Two blocks of convolution, ReLU and pooling, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=25)
    options = parser.parse_args()
    folder = find_data()
    if folder is None:
        print(
            "Fashion-MNIST is not here. Get it with\n"
            "  apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb data\n"
            "or set FASHION_MNIST to the folder of its four idx files."
        )
        sys.exit(0)

    torch.manual_seed(0)
    x, y = two_classes(folder, "train")
    x_val, y_val = two_classes(folder, "t10k")
    train = DataLoader(TensorDataset(x[:TRAINING_IMAGES], y[:TRAINING_IMAGES]), 128, shuffle=True)
    val = DataLoader(TensorDataset(x_val, y_val), 500)
    model = build()
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)

    for _ in advisor.watch(range(options.epochs), model, optimizer, loss_fn, train=train, val=val):
        model.train()
        for images, targets in train:
            optimizer.zero_grad()
            loss_fn(model(images), targets).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for images, targets in val:
                loss_fn(model(images), targets)


if __name__ == "__main__":
    main()
