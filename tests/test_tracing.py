"""A traced run knows the lines that made its objects; once it is over, torch is as it was."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, ToTensor

from advisor.call_sites import FACT, CallSites
from advisor.plan import Plan
from advisor.store import Store
from advisor.tracing import traced

SCRIPT = """\
import torch, advisor
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
x = torch.ones(8, 2)
train = DataLoader(TensorDataset(x, x), batch_size=4)
model = nn.Sequential(nn.Linear(2, 3),
                      nn.Linear(3, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss_fn = nn.MSELoss()

def epoch():
    for a, b in train:
        loss_fn(model(a), b).backward()
        optimizer.step()

for _ in advisor.watch(range(2), model, optimizer, loss_fn, train=train, report=False):
    epoch()
"""


def facts(path: Path) -> dict[str, object]:
    store = Store()
    info, _ = store.run_infos()[-1]
    found = dict(store.record(info.id).facts)
    store.close()
    return found


def test_the_lines_of_a_script(tmp_path: Path) -> None:
    """Line and column of what was made; the frames that led to what was called, innermost first."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    with traced(path):
        runpy.run_path(str(path), run_name="__main__")
    sites = CallSites.model_validate(facts(path)[FACT])
    made = {
        "train": sites.train,
        "optimizer": sites.optimizers[0],
        "loss_fn": sites.loss_fn,
        **{name or "model": layer for name, layer in sites.layers.items()},
    }
    assert {"train": 7, "optimizer": 10, "loss_fn": 11, "model": 8, "0": 8, "1": 9} == {
        name: where.site.line for name, where in made.items() if where is not None
    }
    assert (22, 37) == (made["0"].site.column, made["0"].site.end_column)  # type: ignore[union-attr]
    assert [3, 2] == [made[name].units for name in ("0", "1")]  # type: ignore[union-attr]
    assert (sites.watch.line, sites.loop.line) == (18, 18)  # type: ignore[union-attr]
    lines = {what: [[site.line for site in chain] for chain in chains] for what, chains in sites.calls.items()}
    assert lines == {"backward": [[15, 19]], "step": [[16, 19]], "train": [[14, 19]]}


TRANSFORMED = """\
import torch, advisor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.transforms import v2

class Pictures(Dataset):
    def __init__(self, transform):
        self.transform = transform
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return self.transform(torch.full((1, 4, 4), float(index)))

train = DataLoader(Subset(Pictures(transforms.Compose([v2.RandomErasing(1.0),
                                                       transforms.Lambda(lambda x: x / 8)])), range(8)))
val, test = Pictures(v2.Compose([v2.Identity()])), Pictures(transforms.Lambda(lambda x: x))
hidden = Pictures(lambda x: x)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in advisor.watch(range(1), model, optimizer, train=train, val=DataLoader(val), report=False, plan=PLAN):
    for x in train:
        model(x).mean().backward()
        optimizer.step()
"""


@pytest.mark.parametrize("plan", [None, Plan.of("weaker_augmentation")], ids=["plain", "planned"])
def test_the_transforms_of_data_sets(plan: Plan | None, tmp_path: Path) -> None:
    """Where they were made: also that of which a remedy has put its own in the place, and those of no loader."""
    path = tmp_path / "train.py"
    path.write_text(TRANSFORMED)
    with traced(path):
        runpy.run_path(str(path), {"PLAN": plan}, run_name="__main__")
    sites = CallSites.model_validate(facts(path)[FACT])
    found = {
        which: [(made.kind, made.site.line) if made is not None else None for made in here]
        for which, here in sites.transforms.items()
    }
    assert {"train": [("Compose", 14)], "val": [("Compose", 16)], "other": [("Lambda", 16)]} == found


def test_a_run_that_is_not_traced_says_nothing(tmp_path: Path) -> None:
    """Neither in the record nor in torch is anything left of it."""
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    kinds = (nn.Module, Optimizer, DataLoader, Compose, ToTensor)
    before = [*(kind.__init__ for kind in kinds), Tensor.backward, DataLoader.__iter__]
    with traced(path):
        assert before[0] is not nn.Module.__init__
        assert before[3] is not Compose.__init__
    assert before == [*(kind.__init__ for kind in kinds), Tensor.backward, DataLoader.__iter__]
    runpy.run_path(str(path), run_name="__main__")
    assert FACT not in facts(path)
