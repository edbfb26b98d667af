"""What watching costs: step time watched / unwatched, alternated in one process, on one thread.

    python tests/bench/overhead.py            # both models
    python tests/bench/overhead.py mlp --pairs 21

Each pair trains the same model from the same seed twice, in alternating order; the ratio quoted is the median over the
pairs of (watched step time / unwatched step time). Data lie in memory and no loader is used, so that nothing hides the
cost; the steps before the sampling interval has settled are counted like all others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable

import torch
import torchvision
from torch import nn
from torch.nn import functional

import advisor


def mlp() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """64-128-64-10 at batch 64."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return model, torch.randn(64, 64), torch.randint(0, 10, (64,))


def resnet18() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """torchvision's ResNet-18 on 32x32 images at batch 32."""
    return torchvision.models.resnet18(num_classes=10), torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))


def train(
    build: Callable[[], tuple[nn.Module, torch.Tensor, torch.Tensor]], epochs: int, steps: int, *, watched: bool
) -> float:
    """Seconds a step."""
    torch.manual_seed(0)
    model, x, y = build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loop: Iterable[int] = range(epochs)
    if watched:
        loop = advisor.watch(loop, model, optimizer, report=False)
    began = time.perf_counter()
    for _ in loop:
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    return (time.perf_counter() - began) / (epochs * steps)


def compare(name: str, pairs: int) -> None:
    build, epochs, steps = {"mlp": (mlp, 10, 1000), "resnet18": (resnet18, 4, 16)}[name]
    train(build, 1, steps, watched=True)  # warm
    train(build, 1, steps, watched=False)
    ratios, plain = [], []
    for pair in range(pairs):
        order = (True, False) if pair % 2 == 0 else (False, True)
        seconds = {watched: train(build, epochs, steps, watched=watched) for watched in order}
        ratios.append(seconds[True] / seconds[False])
        plain.append(seconds[False])
    low, high = min(ratios), max(ratios)
    step = statistics.median(plain) * 1e3
    print(
        f"{name:9} watched/unwatched {statistics.median(ratios):.3f} (median of {pairs} alternated pairs,"
        f" {low:.3f} to {high:.3f}); unwatched step {step:.3f} ms, {epochs * steps} steps a run, 1 thread"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="mlp, resnet18; both where absent")
    parser.add_argument("--pairs", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADVISOR_STORE"] = f"{folder}/advisor.db"
        for name in options.models or ["mlp", "resnet18"]:
            compare(name, options.pairs)


if __name__ == "__main__":
    main()
