"""A rule's keyword-only parameters -> its thresholds, each with the place that its number comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from advisor.errors import RuleError


@dataclass(frozen=True, slots=True)
class Cited:
    """A threshold taken from a publication or another tool's documentation."""

    source: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A threshold measured by us; `source` names the fixture, test or benchmark that shows it."""

    source: str


@dataclass(frozen=True, slots=True)
class Convention:
    """A threshold that had to be something; `source` says why this."""

    source: str


Source = Cited | Measured | Convention


@dataclass(frozen=True, slots=True)
class Threshold:
    name: str
    default: float
    source: Source
    integer: bool


def thresholds_of(function: Callable[..., Any], path: Path) -> list[Threshold]:
    """Every parameter but the first. Raises: RuleError for one without a default, a number or a source."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:  # whatever an annotation raises when it is evaluated
        what = f"cannot read its annotations: {type(error).__name__}: {error}"
        raise RuleError(what, context=str(path), hint="import what they name") from error
    found = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        shown = f"{parameter.name}={parameter.default if parameter.default is not parameter.empty else '?'}"
        hint = hints.get(parameter.name)
        sources = [a for a in get_args(hint)[1:] if isinstance(a, Source)] if get_origin(hint) is Annotated else []
        if parameter.kind is not parameter.KEYWORD_ONLY or isinstance(parameter.default, bool | str | None.__class__):
            raise RuleError(
                f"threshold {shown} must be keyword-only and a number", context=str(path), hint="write it after a `*`"
            )
        if parameter.default is parameter.empty or len(sources) != 1:
            raise RuleError(
                f"threshold {shown} does not say where it comes from",
                context=str(path),
                hint="annotate it with Cited, Measured or Convention and give it a default",
            )
        number = parameter.default
        found.append(Threshold(parameter.name, float(number), sources[0], isinstance(number, int)))
    return found
