"""The name of a remedy -> its parameters' default numbers, read from the file: running it would load torch.

The file has a class `Parameters` with a field a line (`advisor.remedies`).
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "remedies"


@cache
def default_numbers(remedy: str) -> dict[str, float]:
    """By the parameter's name; {} for a remedy that is not there. A word says which of several things it does: none of
    those.

    >>> default_numbers("learning_rate_schedule")
    {'warmup': 0.05, 'instead': False}
    """
    if not remedy.isidentifier():  # a name from a store must not become a path
        return {}
    try:
        tree = ast.parse((FOLDER / f"{remedy}.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Parameters"]
    fields = [field for body in bodies for field in body if isinstance(field, ast.AnnAssign)]
    read = {field.target.id: _number(field.value) for field in fields if isinstance(field.target, ast.Name)}
    return {name: value for name, value in read.items() if value is not None}


def _number(value: ast.expr | None) -> float | None:
    """What stands after the `=`, or in `Field(default=…)`."""
    if isinstance(value, ast.Call):
        value = next((word.value for word in value.keywords if word.arg == "default"), None)
    found = value.value if isinstance(value, ast.Constant) else None
    return found if isinstance(found, int | float) else None
