"""An activation in a literal `nn.Sequential` behind the layers where the remedy grafted one."""

from __future__ import annotations

from advisor.patching.edits import Shown
from advisor.patching.sequential import after, element
from advisor.patching.source import Replacement, Source

MODULES = {"relu": "ReLU", "gelu": "GELU", "tanh": "Tanh"}  # the remedy's kinds as torch names them


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """One for each graft; all of them or none."""
    module = MODULES[str(shown.parameters["kind"])]
    found = [element(source, shown.sites, layer) for layer in shown.names("after")]
    return [after(source, one, f"{one.prefix}{module}()") for one in found]
