"""Faults of the size of things: a network that can say too little, data that are too few for it."""

from __future__ import annotations

from networks import linear_layers
from program import Program, changed, with_data
from torch import nn

from .fault import LAYERED, Fault, network, settings


def _few(p: Program) -> None:
    with_data(p, x=p.data.x[:80], y=p.data.y[:80])
    changed(p, epochs=60, batch=16)


def _tiny(n: nn.Module) -> None:
    layers = linear_layers(n)
    first, last = layers[0], layers[-1]
    narrow = nn.Sequential(nn.Linear(first.in_features, 1), nn.ReLU(), nn.Linear(1, last.out_features))  # type: ignore[arg-type]
    assert isinstance(n, nn.Sequential)
    for name in list(n._modules):
        del n._modules[name]
    for name, module in narrow.named_children():
        n.add_module(name, module)


FAULTS: dict[str, Fault] = {
    "no activation": Fault(
        "missing_nonlinearity", settings(act=None), ("underfitting",), LAYERED, networks=("mlp", "deep")
    ),
    "one unit": Fault("underfitting", network(_tiny), (), ("table",), ("multiclass",), networks=("mlp",)),
    "few data, long": Fault("overfitting", _few, ("data_scarcity",), networks=("mlp", "wide", "cnn")),
}
