"""What the wiring facts cost: CPU time inside each instrument, as a share of the epoch. The bar: 0.5 % of ResNet-18's.

    python tests/bench/wiring_cost.py                      # about two minutes on one core
    python tests/bench/wiring_cost.py --images 50000 --epochs 1     # an epoch of the size of CIFAR-10's

torchvision's ResNet-18 on 32x32 images at batch 64, through loaders, with a validation after each epoch, on one thread.
overhead.py compares whole runs, and half a per cent is below its noise; here each event of each instrument is timed
where it happens, so that the noise of the steps is not in it. The first epoch is the dearest: the first steps are all
looked at closely, and batches are read in the first two.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
import torchvision
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import advisor
from advisor import instruments

BAR = 0.005
CURVES = ("activations", "gradients", "learning_rate", "loss", "parameters", "timing")  # what any monitor records


class Clock:
    """CPU seconds by instrument since it was last read."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def timed(self, name: str, kind: type[Any]) -> type[Any]:
        """The same instrument, each event of which is timed."""
        events = {
            event: self._around(name, getattr(kind, event)) for event in instruments.EVENTS if hasattr(kind, event)
        }
        return type(kind.__name__, (kind,), events)

    def read(self) -> Counter[str]:
        spent, self.spent = self.spent, Counter()
        return spent

    def _around(self, name: str, event: Callable[..., None]) -> Callable[..., None]:
        def heard(*values: Any) -> None:
            began = time.thread_time()
            try:
                event(*values)
            finally:
                self.spent[name] += time.thread_time() - began

        return heard


def images(count: int) -> TensorDataset:
    return TensorDataset(torch.randn(count, 3, 32, 32), torch.randint(0, 10, (count,)))


def train(count: int, epochs: int, clock: Clock) -> list[tuple[float, Counter[str]]]:
    """Seconds of each epoch, and what the instruments spent in it; what comes before and after counts as well."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    loader, val = DataLoader(images(count), 64, shuffle=True), DataLoader(images(max(64, count // 5)), 64)
    began, found = time.perf_counter(), []
    for epoch in advisor.watch(range(epochs), model, optimizer, report=False):
        if epoch:
            found.append((time.perf_counter() - began, clock.read()))
            began = time.perf_counter()
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val:
                functional.cross_entropy(model(x), y)
    found.append((time.perf_counter() - began, clock.read()))
    return found


def patched(known: dict[str, type[Any]]) -> Any:
    """These instruments in the place of those that are there."""
    return mock.patch.object(instruments, "known_instruments", return_value=known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clock = Clock()
    known = {name: clock.timed(name, kind) for name, kind in instruments.known_instruments().items()}
    with tempfile.TemporaryDirectory() as folder, patched(known):
        os.environ["ADVISOR_STORE"] = f"{folder}/advisor.db"
        epochs = train(options.images, options.epochs, clock)
    total = sum((spent for _, spent in epochs), Counter[str]())
    print("| instrument | ms | of them in the first epoch |\n|---|---|---|")
    for name, seconds in total.most_common():
        kind = "curve" if name in CURVES else "wiring"
        print(f"| {name} ({kind}) | {1e3 * seconds:.1f} | {1e3 * epochs[0][1][name]:.1f} |")
    shares = []
    for number, (seconds, spent) in enumerate(epochs):
        wiring = sum(cost for name, cost in spent.items() if name not in CURVES)
        shares.append(wiring / seconds)
        print(f"epoch {number}: {seconds:.1f} s, wiring facts {100 * wiring / seconds:.2f} %, "
              f"all instruments {100 * spent.total() / seconds:.2f} %")  # fmt: skip
    print(f"at most {BAR:.1%} in each epoch: {'yes' if max(shares) <= BAR else 'NO'}")


if __name__ == "__main__":
    main()
