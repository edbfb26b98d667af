"""What watching costs: step time watched / unwatched, alternated in one process, on one thread.

    python tests/bench/overhead.py            # both models
    python tests/bench/overhead.py mlp --pairs 21

Each pair trains the same model from the same seed twice, in alternating order; the ratio quoted is the median over the
pairs of (watched step time / unwatched step time): of the whole run, which holds the first steps, the probes and the
tenths of a second that a short run is granted, and of the second half of its epochs, which a longer run comes down to.
Data lie in memory and no loader is used, so that nothing hides the cost.
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
) -> tuple[float, float]:
    """Seconds a step: of the whole run, and of the second half of its epochs with what lies between them."""
    torch.manual_seed(0)
    model, x, y = build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    loop: Iterable[int] = range(epochs)
    if watched:
        loop = advisor.watch(loop, model, optimizer, report=False)
    began, epoch_began = time.perf_counter(), []
    for _ in loop:
        epoch_began.append(time.perf_counter())
        model.train()
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    half = epochs // 2
    late = (epoch_began[-1] - epoch_began[half]) / ((epochs - 1 - half) * steps)
    return (time.perf_counter() - began) / (epochs * steps), late


def compare(name: str, pairs: int) -> None:
    build, epochs, steps = {"mlp": (mlp, 10, 1000), "resnet18": (resnet18, 8, 8)}[name]
    train(build, 4, steps, watched=True)  # warm
    train(build, 4, steps, watched=False)
    whole, late, plain = [], [], []
    for pair in range(pairs):
        order = (True, False) if pair % 2 == 0 else (False, True)
        seconds = {watched: train(build, epochs, steps, watched=watched) for watched in order}
        whole.append(seconds[True][0] / seconds[False][0])
        late.append(seconds[True][1] / seconds[False][1])
        plain.append(seconds[False][0])
    step = statistics.median(plain) * 1e3
    print(f"{name}: unwatched step {step:.3f} ms, {epochs * steps} steps a run, {pairs} alternated pairs, 1 thread")
    for part, ratios in (("whole run", whole), ("second half", late)):
        print(f"  {part:12} ×{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


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
