"""The nearest pyproject.toml's [tool.advisor] -> settings, checked; a mistake there is an error that names the line."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advisor.errors import AdvisorError
from advisor.rulebook import Rule, load_rules

SUGGESTIONS = 3  # names offered for a misspelt one


class Config(BaseModel):
    """[tool.advisor].

    rules_folders: folders of the user's own rules, absolute (`rules` in the file, relative to it)
    rules:         thresholds by rule ([tool.advisor.rules.<id>])
    """

    model_config = ConfigDict(frozen=True, strict=True)

    rules_folders: tuple[Path, ...] = ()
    thresholds: dict[str, dict[str, float]] = {}
    disabled: tuple[str, ...] = Field(default=(), description="rules that are not asked")
    where: str = "[tool.advisor]"  # the file too, once there is one


def load_config(directory: Path | None = None) -> Config:
    """Settings that hold in a directory: those of the nearest pyproject.toml at or above it. Raises: AdvisorError."""
    start = (directory or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _read(path)
    return Config()


def rules_in_force(config: Config) -> dict[str, Rule]:
    """Our rules and the user's, without those that are disabled.

    Raises: AdvisorError for settings of a rule or a threshold that is not there; RuleError for a broken rule.
    """
    rules = load_rules(config.rules_folders)
    for name in (*config.disabled, *config.thresholds):
        if name not in rules:
            hint = _closest(name, list(rules)) or "`advisor explain` lists them"
            raise AdvisorError(f"there is no rule {name!r}", context=config.where, hint=hint)
    for name, values in config.thresholds.items():
        _check(values, rules[name], f"{config.where} rules.{name}")
    return {name: rule for name, rule in rules.items() if name not in config.disabled}


def _check(values: Mapping[str, float], rule: Rule, where: str) -> None:
    known = {threshold.name: threshold for threshold in rule.thresholds}
    for name, value in values.items():
        if name not in known:
            hint = _closest(name, list(known)) or f"it has {', '.join(known) or 'none'}"
            raise AdvisorError(f"{rule.name} has no threshold {name!r}", context=where, hint=hint)
        if math.isnan(value) or (known[name].integer and not value.is_integer()):
            kind = "a whole number" if known[name].integer else "a number"
            hint = f"its default is {known[name].default:g}"
            raise AdvisorError(f"{name}: expected {kind}, found {value:g}", context=where, hint=hint)


def _closest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=SUGGESTIONS, cutoff=0.5)  # half of it spelt right
    return f"did you mean {', '.join(close)}?" if close else ""


def _read(path: Path) -> Config:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return Config()  # broken or unreadable: whoever owns the file hears of it from the tool that they edit it for
    table = document.get("tool", {}).get("advisor", {})
    if not table:
        return Config()
    unknown = set(table) - {"rules", "rule_folders", "disabled"}
    where = f"{path} [tool.advisor]"
    if unknown:
        hint = "expected rules, rule_folders or disabled"
        raise AdvisorError(f"unknown setting {', '.join(sorted(unknown))}", context=where, hint=hint)
    # `rules = ["folder"]` and [tool.advisor.rules.<id>] are one key in TOML: a list names folders, a table thresholds.
    rules = table.get("rules", {})
    folders = table.get("rule_folders", rules if isinstance(rules, list) else [])
    if not isinstance(rules, list | dict):
        raise AdvisorError(f"rules: expected a table a rule, found {rules!r}", context=where)
    for name, found in (("rule_folders", folders), ("disabled", table.get("disabled", []))):
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise AdvisorError(f"{name}: expected a list of strings, found {found!r}", context=where)
    try:
        return Config(
            rules_folders=tuple((path.parent / folder).absolute() for folder in folders),
            thresholds=rules if isinstance(rules, dict) else {},
            disabled=tuple(table.get("disabled", ())),
            where=where,
        )
    except ValidationError as error:
        detail = error.errors()[0]
        name = ".".join(["rules", *map(str, detail["loc"][1:])])
        hint = "thresholds are numbers: [tool.advisor.rules.<rule>] threshold = 1.5"
        raise AdvisorError(f"{name}: {detail['msg']}, found {detail['input']!r}", context=where, hint=hint) from error
