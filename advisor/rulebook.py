"""Folders of rule files -> rules that can be run; a file that breaks the contract is an error that says what to do.

A rule is one file: its module docstring is the page, one decorated function of the file's name is the rule.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, get_args, get_origin, get_type_hints

from advisor.errors import RuleError
from advisor.evidence import Evidence, Missing
from advisor.finding import Finding, Outcome

HEADINGS = ("What it does", "Why it hurts", "Example", "When it is wrong", "References")


# ------------------------------------------------------------------------------------ where a number comes from


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


# --------------------------------------------------------------------------------------------------------- rule


@dataclass(frozen=True, slots=True)
class Rule:
    """A loaded rule."""

    name: str
    page: str
    needs: tuple[str, ...]  # without them the rule is not applicable
    optional: tuple[str, ...]  # read where they are there
    remedies: tuple[str, ...]
    probes: tuple[str, ...]  # experiments that would sharpen or confirm the finding
    explains: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    function: Callable[..., Finding | None]
    path: Path

    @property
    def summary(self) -> str:
        """The page's first paragraph."""
        return self.page.split("\n\n", 1)[0].replace("\n", " ").strip()

    def run(self, evidence: Evidence, overrides: Mapping[str, float] | None = None) -> Outcome:
        """Ask the rule about a run. Never raises."""
        try:
            for name in self.needs:
                if not evidence.has(name):
                    raise Missing(name)
            finding = self.function(evidence, **self._values(overrides or {}))
        except Missing as missing:
            return Outcome(rule=self.name, result="not_applicable", missing=str(missing))
        except Exception as error:  # noqa: BLE001  the fence: a rule that crashes is counted, and harms no other
            return Outcome(rule=self.name, result="crashed", error=f"{type(error).__name__}: {error}")
        if finding is None:
            return Outcome(rule=self.name, result="clear")
        known = {"rule": self.name, "remedies": self.remedies, "probes": self.probes, "explains": self.explains}
        return Outcome(rule=self.name, result="fired", finding=finding.model_copy(update=known))

    def _values(self, overrides: Mapping[str, float]) -> dict[str, float]:
        names = {threshold.name: threshold for threshold in self.thresholds}
        for name in overrides:
            if name not in names:
                raise RuleError(
                    f"there is no threshold {name!r}",
                    context=f"[tool.advisor.rules.{self.name}]",
                    hint=f"it has {', '.join(names) or 'none'}",
                )
        return {name: (round(v) if names[name].integer else v) for name, v in overrides.items()}


@dataclass(frozen=True, slots=True)
class _Declared:
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    remedies: tuple[str, ...]
    probes: tuple[str, ...]
    explains: tuple[str, ...]


def rule(
    *,
    needs: Sequence[str],
    optional: Sequence[str] = (),
    remedies: Sequence[str] = (),
    probes: Sequence[str] = (),
    explains: Sequence[str] = (),
) -> Callable[[Callable[..., Finding | None]], Callable[..., Finding | None]]:
    """Mark the function that is a rule.

    needs:    series and facts without which the rule is not applicable
    optional: series and facts that it reads where they are there
    remedies: in the order in which an expert would try them
    probes:   experiments that can confirm the finding
    explains: rules whose findings are symptoms of this one
    """
    declared = _Declared(tuple(needs), tuple(optional), tuple(remedies), tuple(probes), tuple(explains))

    def mark(function: Callable[..., Finding | None]) -> Callable[..., Finding | None]:
        function.__advisor_rule__ = declared  # type: ignore[attr-defined]
        return function

    return mark


# ------------------------------------------------------------------------------------------------------ loading


def own_folder() -> Path:
    """The folder of the rules that come with advisor: inside the wheel, or beside the package in a checkout."""
    here = Path(__file__).resolve().parent
    for folder in (here / "rules", here.parent / "rules"):
        if folder.is_dir():
            return folder
    raise RuleError("the rules that come with advisor are missing", context=str(here), hint="install advisor again")


def load_rules(folders: Sequence[Path] = ()) -> dict[str, Rule]:
    """Our rules, and those of the user's folders, by name. Raises: RuleError at the first file that is broken."""
    found: dict[str, Rule] = {}
    for folder in (own_folder(), *folders):
        if not folder.is_dir():
            raise RuleError("expected a folder of rules", context=str(folder), hint="check [tool.advisor] rules")
        for path in sorted(folder.glob("[!_]*.py")):
            loaded = load_rule(path)
            if loaded.name in found:
                raise RuleError(
                    f"there is already a rule {loaded.name!r}",
                    context=str(path),
                    hint=f"rename this one; the other is {found[loaded.name].path}",
                )
            found[loaded.name] = loaded
    return found


def load_rule(path: Path) -> Rule:
    """One rule from its file, read again where the file has changed. Raises: RuleError."""
    return _load(path, path.stat().st_mtime_ns if path.exists() else 0)


@cache
def _load(path: Path, _changed: int) -> Rule:
    module = _import(path)
    name = path.stem
    function = getattr(module, name, None)
    declared = getattr(function, "__advisor_rule__", None)
    if function is None or not isinstance(declared, _Declared):
        raise RuleError(
            f"expected a function {name}() marked with @rule(...), found none",
            context=str(path),
            hint="name the function like the file and mark it",
        )
    return Rule(
        name=name,
        page=_page(module, path),
        needs=declared.needs,
        optional=declared.optional,
        remedies=declared.remedies,
        probes=declared.probes,
        explains=declared.explains,
        thresholds=tuple(_thresholds(function, path)),
        function=function,
        path=path,
    )


def _import(path: Path) -> ModuleType:
    unique = f"advisor_rules.{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None  # mypy: a path that ends in .py always has a spec
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # get_type_hints looks there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises while it is imported
        del sys.modules[unique]
        raise RuleError(
            f"cannot be imported: {type(error).__name__}: {error}", context=str(path), hint="run it with python"
        ) from error
    return module


def _page(module: ModuleType, path: Path) -> str:
    page = inspect.cleandoc(module.__doc__ or "")
    found = tuple(re.findall(r"^## (.+?)\s*$", page, flags=re.MULTILINE))
    if found != HEADINGS:
        raise RuleError(
            f"the docstring's headings: expected {', '.join(HEADINGS)}, found {', '.join(found) or 'none'}",
            context=str(path),
            hint="the docstring is the page that `advisor explain` prints",
        )
    return page


def _thresholds(function: Callable[..., Finding | None], path: Path) -> list[Threshold]:
    hints = get_type_hints(function, include_extras=True)
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
