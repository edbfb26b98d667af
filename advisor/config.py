"""The nearest pyproject.toml's [tool.advisor] -> settings, checked; a mistake there is an error that names the line."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from advisor.errors import AdvisorError


class Config(BaseModel):
    """[tool.advisor].

    rules_folders: folders of the user's own rules, absolute (`rules` in the file, relative to it)
    rules:         thresholds by rule ([tool.advisor.rules.<id>])
    """

    model_config = ConfigDict(frozen=True)

    rules_folders: tuple[Path, ...] = ()
    thresholds: dict[str, dict[str, float]] = {}
    disabled: tuple[str, ...] = Field(default=(), description="rules that are not asked")


def load_config(directory: Path | None = None) -> Config:
    """Settings that hold in a directory: those of the nearest pyproject.toml at or above it. Raises: AdvisorError."""
    start = (directory or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _read(path)
    return Config()


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
        raise AdvisorError(
            f"unknown setting {', '.join(sorted(unknown))}", context=where, hint="expected rules or disabled"
        )
    # `rules = ["folder"]` and [tool.advisor.rules.<id>] are one key in TOML: a list names folders, a table thresholds.
    rules = table.get("rules", {})
    folders = table.get("rule_folders", rules if isinstance(rules, list) else [])
    try:
        return Config(
            rules_folders=tuple((path.parent / folder).absolute() for folder in folders),
            thresholds=rules if isinstance(rules, dict) else {},
            disabled=tuple(table.get("disabled", ())),
        )
    except (ValidationError, TypeError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else None
        shown = f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" if detail else str(error)
        raise AdvisorError(shown, context=where, hint="thresholds are numbers, folders are strings") from error
