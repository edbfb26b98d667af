"""Words of the command line -> values: durations and counts as a person writes them."""

from __future__ import annotations

import re

import typer

SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    """A duration in seconds.

    >>> [seconds(text) for text in ("90", "90s", "10m", "1.5h", "1h30m")]
    [90.0, 90.0, 600.0, 5400.0, 5400.0]
    """
    if not re.fullmatch(r"(\d+(\.\d+)?\s*(s|m|min|h)?\s*)+", text.strip()):
        raise typer.BadParameter(f"{text!r} is not a duration; write 90, 90s, 10m or 1h30m")
    found = re.findall(r"(\d+(?:\.\d+)?)\s*(min|[smh]?)", text)
    return float(sum(float(number) * SECONDS[unit] for number, unit in found))


def positive(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise typer.BadParameter(f"{text!r} is not a number above 0")
    return number
