"""The corpus' networks: name and data -> a module that faults can change before the optimizer is built."""

from __future__ import annotations

import torch
from data import WORDS, Data
from torch import Tensor, nn


def build(name: str, data: Data, *, act: type[nn.Module] | None = nn.ReLU) -> nn.Module:
    """A network that fits the data's kind. act: between the layers; None for nothing."""
    outputs = WORDS if data.task == "tokens" else data.classes
    if data.kind == "table":
        return _mlp(name, data.x.shape[1], outputs, act)
    if data.kind == "image":
        return _cnn(name, data.x.shape[1], outputs, act)
    return {"gru": Reader, "transformer": Writer}[name](data, outputs)


def _mlp(name: str, inputs: int, outputs: int, act: type[nn.Module] | None) -> nn.Sequential:
    widths = {"mlp": [64, 64], "wide": [256], "deep": [48] * 6, "norm": [64, 64], "dropout": [128, 64]}[name]
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip([inputs, *widths], widths, strict=False):
        layers.append(nn.Linear(fan_in, fan_out))
        if name == "norm":
            layers.append(nn.BatchNorm1d(fan_out))
        if act is not None:
            layers.append(act())
        if name == "dropout":
            layers.append(nn.Dropout(0.3))
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def _cnn(name: str, channels: int, outputs: int, act: type[nn.Module] | None) -> nn.Sequential:
    def block(fan_in: int, fan_out: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(fan_out)] if name == "cnn_norm" else []
        return [nn.Conv2d(fan_in, fan_out, 3, padding=1), *norm, *([act()] if act else [])]

    pool: list[nn.Module] = [nn.MaxPool2d(2)] if act else [nn.AvgPool2d(2)]
    drop: list[nn.Module] = [nn.Dropout(0.3)] if name == "cnn_norm" else []
    return nn.Sequential(*block(channels, 12), *block(12, 16), *pool, nn.Flatten(), *drop, nn.Linear(16 * 16, outputs))


class Reader(nn.Module):
    """A GRU over (N, T, F) whose last state is classified. mixed: time comes first by a reshape, not a transpose."""

    def __init__(self, data: Data, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(data.x.shape[2], 32)
        self.head = nn.Linear(32, outputs)
        self.mixed = False

    def forward(self, x: Tensor) -> Tensor:
        steps = x.reshape(x.shape[1], x.shape[0], x.shape[2]) if self.mixed else x.transpose(0, 1)
        states, _ = self.rnn(steps)
        scores: Tensor = self.head(states[-1])
        return scores


class Writer(nn.Module):
    """One layer of causal attention over embedded words, scores (N, T, words). masked: whether it is causal."""

    def __init__(self, data: Data, outputs: int) -> None:
        super().__init__()
        length = data.x.shape[1]
        self.word, self.place = nn.Embedding(outputs + 1, 32), nn.Embedding(length, 32)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, outputs)
        self.register_buffer("cause", nn.Transformer.generate_square_subsequent_mask(length))
        self.masked = True

    def forward(self, words: Tensor) -> Tensor:
        mask = self.get_buffer("cause") if self.masked else None
        scores: Tensor = self.head(self.layer(self.word(words) + self.place.weight, src_mask=mask))
        return scores


class Then(nn.Module):
    """A network and something after its output."""

    def __init__(self, network: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.network, self.after = network, after

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.after(self.network(x))
        return scores


class Unregistered(nn.Module):
    """The first layers in a plain list: they compute, and nobody trains them."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.hidden, self.head = list(layers[:-1]), layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = layer(x)
        scores: Tensor = self.head(x)
        return scores


class Detached(nn.Module):
    """The graph is cut before the last layer."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.body, self.head = layers[:-1], layers[-1]

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(x).detach())
        return scores


def linear_layers(network: nn.Module) -> list[nn.Module]:
    """The layers with a weight, in order."""
    return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


@torch.no_grad()
def reset(network: nn.Module, weight: float | None = None, bias: float | None = None, scale: float = 1.0) -> None:
    """Constant hidden weights or biases, or weights that are `scale` times as large."""
    for layer in linear_layers(network)[:-1]:
        if weight is not None:
            nn.init.constant_(layer.weight, weight)  # type: ignore[arg-type]
        if bias is not None:
            nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]
        layer.weight.mul_(scale)  # type: ignore[operator, union-attr]
