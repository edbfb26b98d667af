"""Values of a record -> the words and numbers that a reader sees; text from a record -> text that is safe to print."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from advisor.plan import Plan, Step
from advisor.record import Json, RunInfo
from advisor.report.defaults import default_numbers

# ECMA-48: CSI sequences, OSC strings up to BEL or ST, and the two-character escapes.
ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)
MINUTE, HOUR = 60, 3600  # s
NAMES = 2  # of a list within a plan: beside others the plan still stands on a line or two


def clean(text: str) -> str:
    """One printable line: escape sequences and control characters go, line breaks become spaces.

    >>> clean("\\x1b[31mred\\x1b[0m and\\nnext\\u202e line")
    'red and next line'
    """
    text = ESCAPES.sub("", text)
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text).strip()


def number(value: float | None, like: float | None = None) -> str:
    """A measured number with three decimals, or three digits where those would hide it.

    like: another number that stands beside it and decides on the decimals


    >>> number(0.8421), number(-0.5), number(0.00001), number(1234.5), number(2e9), number(float("nan"))
    ('0.842', '−0.500', '1e-05', '1234.5', '2e+09', 'nan')
    """
    if value is None:
        return ""
    size = abs(value if like is None or not math.isfinite(like) else like)
    if not math.isfinite(value):
        text = f"{value:g}"
    elif size and (size < 1e-3 or size >= 1e5):  # where three decimals show nothing, and where digits hide the size
        text = f"{value:.3g}"
    else:
        text = f"{value:.3f}" if size < 100 else f"{value:.1f}"  # 100: four digits before rounding are enough
    return text.replace("-", "−", 1) if text.startswith("-") else text


def signed(value: float | None, like: float | None = None) -> str:
    """A difference, with its sign. like: one of the numbers that differ.

    >>> signed(0.051), signed(-0.027), signed(0.0), signed(0.00091), signed(0.00091, like=1.04)
    ('+0.051', '−0.027', '0.000', '+0.00091', '+0.001')
    """
    text = number(value, like)
    return f"+{text}" if value is not None and value > 0 else text


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds; a single value alone.

    >>> spread([0.5, 0.7]), spread([0.5]), spread([])
    ('0.600 ± 0.141', '0.500', '')
    """
    if not values:
        return ""
    if not all(map(math.isfinite, values)):
        broken = sum(not math.isfinite(value) for value in values)
        return "broke" if broken == len(values) else f"{broken} of {len(values)} broke"
    return number(fmean(values)) + (f" ± {number(stdev(values), like=fmean(values))}" if len(values) > 1 else "")


def duration(seconds: float) -> str:
    """Wall time in the unit that a person would use; "" where it is not known.

    >>> duration(4.21), duration(31), duration(250), duration(7500), duration(float("nan"))
    ('4.2 s', '31 s', '4 min 10 s', '2 h 05 min', '')
    """
    if not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # 10: two digits either way
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02d} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE:02d} min"


def names(found: Sequence[str], most: int = 6) -> str:
    """A list that stays on one line. most: what fits beside a label on 80 columns with names of usual length.

    >>> names(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(map(clean, found[:most]))
    return f"{shown} and {len(found) - most} more" if len(found) > most else shown


def plan_text(plan: Plan, against: Plan | None = None) -> str:
    """A plan in one line; what it has in common with the kept plan that it is compared with is called "kept".

    A remedy's only parameter needs no name, a factor its sign; of several, numbers that are the remedy's defaults are
    left out, and of a list all but its first names. The plan's file has them all.

    >>> plan_text(Plan.of("dropout", rate=0.5) + Plan.of("mixup", alpha=0.3, rate=1), Plan.of("dropout", rate=0.5))
    'kept + mixup(alpha=0.3, rate=1)'
    >>> plan_text(Plan.of("dropout", rate=0.5) + Plan.of("batch_norm"))
    'dropout(0.5) + batch_norm'
    >>> plan_text(Plan.of("augmentation", shift=0.125, rotation=10.0, noise=0.1))
    'augmentation(rotation=10)'
    >>> plan_text(Plan.of("learning_rate", factor=10.0)), plan_text(Plan.of("learning_rate", lr=0.1))
    ('learning_rate(×10)', 'learning_rate(0.1)')
    >>> plan_text(Plan.of("unfreeze", layers=["stem", "body.0", "body.1", "head"]))
    'unfreeze(stem, body.0 and 2 more)'
    """
    steps = plan.steps
    common = len(against.steps) if against and steps[: len(against.steps)] == against.steps else 0
    shown = [_step(step) for step in steps[common:]]
    return " + ".join(["kept", *shown] if common else shown) or "plain"


def script(info: RunInfo) -> str:
    """The script as the user would type it after `advisor fix`, arguments and all; "" for a function."""
    if not info.script:
        return ""
    path = Path(info.script)
    if info.directory and path.is_relative_to(info.directory):
        path = path.relative_to(info.directory)
    rest = ["--", *info.command[1:]] if len(info.command) > 1 else []
    return shlex.join(map(clean, [str(path), *rest]))


def _step(step: Step) -> str:
    given = {name: _value(value) for name, value in step.parameters.items()}
    if len(given) == 1:
        ((name, text),) = given.items()
        return clean(f"{step.remedy}({'×' if name == 'factor' else ''}{text})")
    usual = default_numbers(step.remedy) if given else {}
    shown = [f"{name}={text}" for name, text in given.items() if step.parameters[name] != usual.get(name)]
    return clean(f"{step.remedy}({', '.join(shown)})".removesuffix("()"))


def _value(value: Json) -> str:
    if isinstance(value, list):
        return names([_value(one) for one in value], most=NAMES)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
