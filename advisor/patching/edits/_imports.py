"""The name that a script has for torch, for what it does not call yet."""

from __future__ import annotations

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.source import Source


def torch_name(source: Source, at: cst.CSTNode) -> str:
    """`torch`, or `th` where the script imports torch as th. at: where it is to be written.

    Raises: Declined where no import gives one.
    """
    around = set(source.parents(at))
    for imported in (found for found in source.all(cst.Import) if source.scope(found) in around):
        for one in imported.names:
            package, alias = one.evaluated_name, one.evaluated_alias
            if alias is None and package.split(".")[0] == "torch":
                return "torch"
            if alias is not None and package == "torch":
                return alias
    raise Declined("the script does not import torch by its name")
