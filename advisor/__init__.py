"""advisor: watch a PyTorch training run, name what is wrong, try a fix, keep it if matched seeds prove it.

    import advisor

    for epoch in advisor.watch(range(20), model, optimizer, train=train_loader, val=val_loader):
        ...  # the loop as it was

The names below are imported when they are first used, so that `advisor report` opens without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from advisor.errors import AdvisorError
    from advisor.evidence import Evidence
    from advisor.finding import Finding, Number
    from advisor.fixing import fix
    from advisor.losses import loss
    from advisor.plan import Plan
    from advisor.rulebook import rule
    from advisor.thresholds import Cited, Convention, Measured
    from advisor.watching import watch

__version__ = "0.1.0"

_HOME = {
    "watch": "watching",
    "loss": "losses",
    "fix": "fixing",
    "Plan": "plan",
    "rule": "rulebook",
    "Finding": "finding",
    "Number": "finding",
    "Cited": "thresholds",
    "Measured": "thresholds",
    "Convention": "thresholds",
    "Evidence": "evidence",
    "AdvisorError": "errors",
}

__all__ = [  # noqa: RUF022  the order of the data flow
    "watch",
    "loss",
    "fix",
    "Plan",
    "rule",
    "Finding",
    "Number",
    "Cited",
    "Measured",
    "Convention",
    "Evidence",
    "AdvisorError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'advisor' has no attribute {name!r}; it has {', '.join(_HOME)}")
    return getattr(import_module(f"advisor.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
