"""Remedies with their parameters, as data: an immutable value, and the small TOML file that a user keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationError
from tomlkit.exceptions import ParseError

from advisor.errors import PlanError
from advisor.record import Json

VERSION = 1


class Step(BaseModel):
    """One remedy of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    remedy: str
    parameters: dict[str, Json] = {}

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={_short(value)}" for name, value in self.parameters.items())
        return f"{self.remedy}({shown})"


class Plan(BaseModel):
    """What to change in a run, in this order. An empty plan is false and changes nothing.

    >>> print(Plan.of("dropout", rate=0.5) + Plan.of("weight_decay", weight_decay=0.01))
    dropout(rate=0.5) + weight_decay(weight_decay=0.01)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, remedy: str, **parameters: Json) -> Plan:
        """A plan of one remedy."""
        return cls(steps=(Step(remedy=remedy, parameters=parameters),))

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __add__(self, other: Plan) -> Plan:
        return Plan(steps=self.steps + other.steps)

    def changed_by(self, change: Plan) -> Plan:
        """This plan with the steps of another: a remedy that both have takes the other's parameters.

        >>> print(Plan.of("dropout", rate=0.2).changed_by(Plan.of("dropout", rate=0.5)))
        dropout(rate=0.5)
        """
        new = {step.remedy: step for step in change.steps}
        replaced = tuple(new.pop(step.remedy, step) for step in self.steps)
        return Plan(steps=(*replaced, *new.values()))

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps)) or "plain"

    def to_toml(self, comment: str = "") -> str:
        """The file's text; `comment` opens it."""
        document = tomlkit.document()
        for line in comment.splitlines():
            document.add(tomlkit.comment(line))
        document.add("version", tomlkit.item(VERSION))
        tables = tomlkit.aot()
        for step in self.steps:
            table = tomlkit.table()
            table.add("name", step.remedy)
            for name, value in step.parameters.items():
                if value is not None:  # TOML has no null: a parameter left out has its default
                    table.add(name, value)
            tables.append(table)
        document.add("remedy", tables)
        return tomlkit.dumps(document)

    def save(self, path: Path, comment: str = "") -> None:
        path.write_text(self.to_toml(comment), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan's file. Raises: PlanError. Whether the remedies exist is checked by `advisor.remedies`."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise PlanError(
                f"cannot read the plan: {error.strerror}", context=str(path), hint="`advisor fix` writes one"
            ) from error
        except UnicodeDecodeError as error:
            raise PlanError("expected TOML text, found bytes", context=str(path)) from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str = "plan") -> Plan:
        try:
            document: Mapping[str, Json] = tomlkit.parse(text).unwrap()
        except ParseError as error:
            raise PlanError(f"this is not TOML: {error}", context=where, hint="`advisor fix` writes one") from error
        if document.get("version") != VERSION:
            raise PlanError(
                f"expected version = {VERSION}, found {document.get('version')!r}", context=where, hint="write it anew"
            )
        unknown = set(document) - {"version", "remedy"}
        tables = document.get("remedy", [])
        if unknown or not isinstance(tables, list):
            raise PlanError(
                f"expected [[remedy]] tables, found {', '.join(sorted(unknown)) or 'something else'}",
                context=where,
                hint='each begins with [[remedy]] and name = "…"',
            )
        return cls(steps=tuple(_step(table, number, where) for number, table in enumerate(tables, start=1)))


def as_plan(plan: Plan | str | Path | None) -> Plan:
    """What a user may give as `plan=`. Raises: PlanError."""
    if plan is None:
        return Plan()
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, str | Path):
        return Plan.load(plan)
    raise PlanError(f"expected a Plan or the path of one, found {type(plan).__name__}", context="plan=")


def _step(table: Json, number: int, where: str) -> Step:
    where = f"{where}, [[remedy]] {number}"
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise PlanError("expected a table with a name", context=where, hint='write name = "dropout", say')
    rest = {name: value for name, value in table.items() if name != "name"}
    try:
        return Step(remedy=str(table["name"]), parameters=rest)
    except ValidationError as error:
        raise PlanError(str(error.errors()[0]["msg"]), context=where) from error


def _short(value: Json) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
