"""Folders of rule files -> rules that can be run; a file that breaks the contract is an error that says what to do.

A rule is one file: its module docstring is the page, one decorated function of the file's name is the rule.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType

from advisor import calibration
from advisor.errors import RuleError
from advisor.evidence import Evidence, Missing
from advisor.finding import Finding, Outcome
from advisor.source_facts import source_facts
from advisor.thresholds import Threshold, thresholds_of

KINDS = ("wiring", "data", "optimisation", "signal", "fit", "speed")
HEADINGS = ("What it does", "Why it hurts", "Example", "When it is wrong", "References")


# --------------------------------------------------------------------------------------------------------- rule


@dataclass(frozen=True, slots=True)
class Rule:
    """A loaded rule."""

    name: str
    page: str
    kind: str  # one of KINDS
    needs: tuple[str, ...]  # without them the rule is not applicable
    optional: tuple[str, ...]  # read where they are there
    remedies: tuple[str, ...]
    probes: tuple[str, ...]  # experiments that would sharpen or confirm the finding
    explains: tuple[str, ...]  # as it is declared: rules, or kinds of them
    symptoms: tuple[str, ...]  # the same rule by rule, once all rules are loaded
    contradicts: tuple[str, ...]  # of two findings that contradict each other only the surer one is said
    at_once: bool  # what it saw cannot be taken back: said without a second look
    in_source: tuple[str, ...]  # facts of the script's text that would speak for a finding
    thresholds: tuple[Threshold, ...]
    function: Callable[..., Finding | None]
    path: Path
    counts: calibration.Counts = field(default_factory=dict)  # how often its findings were right

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
            if not isinstance(finding, Finding | None):
                raise TypeError(f"expected a Finding or None, got {type(finding).__name__}")
        except Missing as missing:
            return Outcome(rule=self.name, result="not_applicable", missing=str(missing))
        except Exception as error:  # noqa: BLE001  the fence: a rule that crashes is counted, and harms no other
            return Outcome(rule=self.name, result="crashed", error=f"{type(error).__name__}: {error}")
        if finding is None:
            return Outcome(rule=self.name, result="clear")
        declared = ("remedies", "probes", "at_once")
        known = {"rule": self.name, "explains": self.symptoms, **{name: getattr(self, name) for name in declared}}
        there = source_facts(evidence.info.source) if self.in_source and evidence.info.source else {}
        known["confidence"] = calibration.calibrated(self.counts, self.name, finding.confidence)
        known["supported_by"] = tuple(there[name] for name in self.in_source if name in there)
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
    kind: str
    needs: tuple[str, ...]
    optional: tuple[str, ...]
    remedies: tuple[str, ...]
    probes: tuple[str, ...]
    explains: tuple[str, ...]
    contradicts: tuple[str, ...]
    at_once: bool
    in_source: tuple[str, ...]


def rule(
    *,
    kind: str,
    needs: Sequence[str],
    optional: Sequence[str] = (),
    remedies: Sequence[str] = (),
    probes: Sequence[str] = (),
    explains: Sequence[str] = (),
    contradicts: Sequence[str] = (),
    at_once: bool = False,
    in_source: Sequence[str] = (),
) -> Callable[[Callable[..., Finding | None]], Callable[..., Finding | None]]:
    """Mark the function that is a rule.

    kind:        where the fault lies: wiring, data, optimisation, signal, fit or speed
    needs:       series and facts without which the rule is not applicable
    optional:    series and facts that it reads where they are there
    remedies:    in the order in which an expert would try them
    probes:      experiments that can confirm the finding
    explains:    rules whose findings are symptoms of this one; a kind stands for all rules of that kind
    contradicts: rules whose findings cannot be true together with this one, or ask for the opposite; said on one
                 side, it holds for both
    at_once:     what it sees cannot be taken back, such as a NaN: while a run goes on it is said at the first look
    in_source:   facts of the script's text (`advisor.source_facts`) that would support the finding
    """
    declared = _Declared(
        kind=kind,
        needs=tuple(needs),
        optional=tuple(optional),
        remedies=tuple(remedies),
        probes=tuple(probes),
        explains=tuple(explains),
        contradicts=tuple(contradicts),
        at_once=at_once,
        in_source=tuple(in_source),
    )

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


def load_rules(folders: Sequence[Path] = (), *, counts: calibration.Counts | None = None) -> dict[str, Rule]:
    """Our rules, and those of the user's folders, by name. Raises: RuleError at the first file that is broken.

    counts: in the place of those that lie in the folders
    """
    found: dict[str, Rule] = {}
    for folder in (own_folder(), *folders):
        if not folder.is_dir():
            hint = "check rule_folders in [tool.advisor]"
            raise RuleError("expected a folder of rules", context=str(folder), hint=hint)
        known = calibration.load_counts(folder) if counts is None else counts
        for path in sorted(folder.glob("[!_]*.py")):
            loaded = replace(load_rule(path), counts=known)
            if loaded.name in found:
                raise RuleError(
                    f"there is already a rule {loaded.name!r}",
                    context=str(path),
                    hint=f"rename this one; the other is {found[loaded.name].path}",
                )
            found[loaded.name] = loaded
    return {name: replace(r, symptoms=tuple(_names(r.explains, found, name))) for name, r in found.items()}


def _names(explained: Sequence[str], rules: Mapping[str, Rule], own: str) -> Iterator[str]:
    """The names of rules; a kind stands for all rules of that kind."""
    for word in explained:
        if word in KINDS:
            yield from (name for name, rule in rules.items() if rule.kind == word and name not in (own, *explained))
        else:
            yield word


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
        kind=_kind(declared, path),
        needs=declared.needs,
        optional=declared.optional,
        remedies=declared.remedies,
        probes=declared.probes,
        explains=declared.explains,
        symptoms=declared.explains,
        contradicts=declared.contradicts,
        at_once=declared.at_once,
        in_source=declared.in_source,
        thresholds=tuple(thresholds_of(function, path)),
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


def _kind(declared: _Declared, path: Path) -> str:
    if declared.kind not in KINDS:
        raise RuleError(
            f"expected a kind of fault, found {declared.kind!r}",
            context=str(path),
            hint=f"use one of {', '.join(KINDS)}",
        )
    return declared.kind


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
