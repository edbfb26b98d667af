"""What the model is made of: its size, whether it normalises, whether it drops out."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from advisor.instruments import Live

NORMS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm, nn.RMSNorm)


class Structure:
    """Facts that hold for the whole run."""

    def start(self, live: Live) -> None:
        parameters = list(live.model.parameters())
        modules = list(live.model.modules())
        live.fact("parameters", sum(p.numel() for p in parameters))
        live.fact("trainable_parameters", sum(p.numel() for p in parameters if p.requires_grad))
        live.fact("normalisation", any(isinstance(m, NORMS) for m in modules))
        live.fact("dropout", any(isinstance(m, _DropoutNd) and m.p > 0 for m in modules))


instrument = Structure
