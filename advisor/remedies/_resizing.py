"""A Linear, Conv, norm or PReLU and the number of inputs that arrive -> the same module, made for that number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvTransposeNd

from advisor.errors import CannotApply
from advisor.remedies._places import CONVOLUTIONS

NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
    nn.GroupNorm, nn.LayerNorm,
)  # fmt: skip
ADAPTABLE = (*NORMS, nn.PReLU)  # they give as many as arrive


def arriving(module: nn.Module, x: Tensor) -> tuple[int, ...]:
    """What a module reads of its input: (channels,), or the last axes for a Linear and a LayerNorm."""
    if isinstance(module, nn.LayerNorm):
        return tuple(x.shape[-len(module.normalized_shape) :])
    if isinstance(module, nn.Linear):
        return (x.shape[-1],)
    return (x.shape[1],)


def resize(module: Any, size: tuple[int, ...], outputs: int | None) -> None:
    """Give a module parameters of zeros, and buffers, for inputs of this size. outputs: of a Linear or Conv.

    Raises: CannotApply where its groups do not divide it.
    """
    if isinstance(module, nn.Linear):
        module.in_features, module.out_features = size[0], outputs or module.out_features
        _give(module, weight=(module.out_features, module.in_features), bias=(module.out_features,))
    elif isinstance(module, CONVOLUTIONS):
        _resize_convolution(module, size[0], outputs or module.out_channels)
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = size
        _give(module, weight=size, bias=size)
    elif isinstance(module, nn.GroupNorm):
        _divisible(size[0], module.num_groups)
        module.num_channels = size[0]
        _give(module, weight=size, bias=size)
    elif isinstance(module, _NormBase):
        module.num_features = size[0]
        _give(module, weight=size, bias=size)
        for name in ("running_mean", "running_var"):
            buffer = getattr(module, name)
            if buffer is not None and buffer.shape != size:
                setattr(module, name, torch.ones_like(buffer[:1]).expand(size).clone())
    elif isinstance(module, nn.PReLU) and module.num_parameters > 1:
        module.num_parameters = size[0]
        _give(module, weight=size)


def _resize_convolution(module: Any, channels: int, outputs: int) -> None:
    if module.groups > 1 and module.groups == module.in_channels:  # each channel by itself
        outputs = channels * (module.out_channels // module.in_channels)
        module.groups = channels
    _divisible(channels, module.groups)
    _divisible(outputs, module.groups)
    module.in_channels, module.out_channels = channels, outputs
    first, second = (channels, outputs) if isinstance(module, _ConvTransposeNd) else (outputs, channels)
    _give(module, weight=(first, second // module.groups, *module.kernel_size), bias=(outputs,))


def _divisible(channels: int, groups: int) -> None:
    if channels % groups:
        raise CannotApply(f"{channels} channels do not make {groups} groups", context="width")


def _give(module: nn.Module, **shapes: tuple[int, ...]) -> None:
    for name, shape in shapes.items():
        parameter = module._parameters.get(name)
        if parameter is not None and parameter.shape != shape:
            parameter.data = torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)
            parameter.grad = None
