"""Whatever a report names -> its page as Markdown: rules, remedies, experiments, and the numbers that judge.

Remedies and experiments are read, not imported, so that torch is not either.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from advisor.errors import AdvisorError
from advisor.metric import MEANING
from advisor.rulebook import KINDS, Rule, load_rules

SUGGESTIONS = 3  # names offered for a misspelt one
Kind = Literal["rule", "remedy", "experiment", "number"]
FOLDERS: tuple[tuple[str, Kind], ...] = (
    ("remedies", "remedy"),
    ("probes", "experiment"),
    ("experiments", "experiment"),
)
TITLES: dict[Kind, str] = {
    "remedy": "Remedies",
    "experiment": "Experiments",
    "number": "Numbers that judge",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page; text is Markdown."""

    name: str
    kind: Kind
    text: str
    fault: str = ""  # the kind of fault, for a rule

    @property
    def summary(self) -> str:
        """The first sentence."""
        opening = self.text.split("\n\n", 1)[0].replace("\n", " ").strip()
        return re.split(r"(?<=[.!?])\s", opening, maxsplit=1)[0]


def load_pages(folders: Sequence[Path] = ()) -> dict[str, Page]:
    """Every page by name: the rules first, the user's among them. Raises: RuleError."""
    pages = {name: Page(name, "rule", _of_rule(rule), rule.kind) for name, rule in load_rules(folders).items()}
    for folder, kind in FOLDERS:
        for path in sorted((Path(__file__).parent / folder).glob("[!_]*.py")):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            pages[path.stem] = Page(path.stem, kind, f"{inspect.cleandoc(docstring)}\n")
    for name, meaning in MEANING.items():
        pages[name] = Page(name, "number", f"{meaning[0].upper()}{meaning[1:]}.\n")
    return pages


def find_page(pages: Mapping[str, Page], name: str) -> Page:
    """The page of that name; dashes and spaces count as underscores. Raises: AdvisorError with the closest names."""
    wanted = re.sub(r"[\s-]+", "_", name.strip().lower())
    if wanted in pages:
        return pages[wanted]
    close = difflib.get_close_matches(wanted, list(pages), n=SUGGESTIONS, cutoff=0.5)  # half of it spelt right
    hint = f"did you mean {', '.join(close)}?" if close else "`advisor explain` lists them"
    raise AdvisorError(f"there is no rule, remedy or experiment {name!r}", hint=hint)


def listing(pages: Mapping[str, Page]) -> RenderableType:
    """Every name with its first sentence."""
    table = Table(box=None, pad_edge=False, show_header=False)
    sections = [(f"Rules: {fault}", [p for p in pages.values() if p.fault == fault]) for fault in KINDS]
    sections += [(title, [p for p in pages.values() if p.kind == kind]) for kind, title in TITLES.items()]
    for title, found in sections:
        table.add_row(Text(title, style="bold"))
        for page in found:
            table.add_row(Text(f"  {page.name}"), Text(page.summary))
    return table


def _of_rule(rule: Rule) -> str:
    """The page, then what only the code knows: the thresholds with their sources, the remedies, what it explains."""
    lines = [rule.page.rstrip(), ""]
    if rule.thresholds:
        lines += ["## Thresholds", ""]
        for threshold in rule.thresholds:
            source = threshold.source
            lines.append(f"- `{threshold.name} = {threshold.default:g}`: {type(source).__name__}, {source.source}")
        lines += ["", f"Change them in `[tool.advisor.rules.{rule.name}]` of pyproject.toml.", ""]
    for title, names in (("Needs", rule.needs), ("Remedies", rule.remedies), ("Explains", rule.explains)):
        if names:
            lines += [f"## {title}", "", ", ".join(f"`{name}`" for name in names), ""]
    return "\n".join(lines)
