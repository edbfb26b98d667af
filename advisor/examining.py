"""A folder of rules -> each of them checked as our own are, and the table that `advisor check-rules` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from advisor.cases import load_cases, root_of
from advisor.checking import CHECKS, title
from advisor.errors import AdvisorError, RuleError
from advisor.recorded import record_for
from advisor.report.wording import clean
from advisor.rulebook import Rule, load_rule, load_rules, own_folder
from advisor.snapshot import to_json

SAME_TIME = 2.0  # s: files of one checkout are written within it, in any order


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that a rule does not pass: what it is about, what was found and what to do."""

    check: str
    found: str


@dataclass(frozen=True, slots=True)
class Examined:
    """A rule and what it owes."""

    rule: str
    failures: tuple[Failure, ...]


def examine(folder: Path, say: Callable[[str], None]) -> list[Examined]:
    """Check every rule of a folder; twins without a record of what they do now are run first.

    say: takes a line of progress

    Raises: RuleError where there is no folder or no rule in it; AdvisorError for a stored record that cannot be read.
    """
    paths = sorted(folder.glob("[!_]*.py"))
    if not paths:
        what = "expected a folder of rules, found no rule in it" if folder.is_dir() else "there is no such folder"
        raise RuleError(what, context=str(folder), hint=f"`advisor new-rule NAME --folder {folder}` writes one")
    ours = {} if folder.resolve() == own_folder() else load_rules()
    loaded: dict[str, Rule] = {}
    failures: dict[str, list[Failure]] = {path.stem: [] for path in paths}
    for path in paths:
        try:
            if path.stem in ours:
                raise RuleError("advisor has a rule of that name", context=str(path), hint="rename this one")
            loaded[path.stem] = load_rule(path)
        except RuleError as error:
            failures[path.stem].append(Failure("It can be loaded.", str(error)))
    root = root_of(folder)
    for name, rule in loaded.items():
        failures[name] += _run_twins(rule, root, say)
    cases = load_cases({**ours, **loaded}, root)
    for name, rule in loaded.items():
        failures[name] += [Failure(title(check), found) for check in CHECKS for found in check(rule, cases)]
    return [Examined(name, tuple(found)) for name, found in failures.items()]


def table(examined: Sequence[Examined]) -> RenderableType:
    """One line a rule, and below it what it does not pass."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(no_wrap=True)
    shown.add_column()
    total = len(CHECKS)
    for one in examined:
        failed = list(dict.fromkeys(failure.check for failure in one.failures))
        style = "red" if failed else "green"
        count = f"{len(failed)} of {total} checks failed" if failed else f"all {total} checks passed"
        shown.add_row(Text(one.rule, style="bold"), Text(count, style=style))
        for check in failed:
            shown.add_row("", Text(check))
            for failure in one.failures:
                if failure.check == check:
                    shown.add_row("", Text(f"  {clean(failure.found)}", style="dim"))
    return shown


def _run_twins(rule: Rule, root: Path, say: Callable[[str], None]) -> list[Failure]:
    """Store a record beside each twin that has none, or an older one."""
    failures = []
    for script in sorted((root / "fixtures" / rule.name).glob("*.py")):
        stored = script.with_suffix(".json")
        if stored.exists() and stored.stat().st_mtime + SAME_TIME > script.stat().st_mtime:
            continue
        say(f"running {script.relative_to(root)}")
        try:
            stored.write_text(to_json(record_for(script, rule)), encoding="utf-8")
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a user's script raises
            hint = error.hint if isinstance(error, AdvisorError) else "run it by itself"
            found = f"{script.name}: {type(error).__name__}: {error}; {hint}"
            failures.append(Failure("Its twins can be run.", found))
    return failures
