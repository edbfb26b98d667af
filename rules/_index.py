"""The rules' pages -> README.md beside them.

python rules/_index.py
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from advisor.rulebook import KINDS, Rule, load_rules

INTRODUCTION = """\
# Rules

One file a rule: its docstring is the page that `advisor explain` prints, its function looks at the numbers of one run.
Each has a pair of scripts in `fixtures/` that differ by the fault only. What it reads of a run stands with its needs in
bold: without them it does not apply. Where it explains a kind, it explains every rule of that kind. This index is made
from the pages by `python rules/_index.py`; a test keeps it true.
"""
TABLE = """
| rule | what is wrong | reads | remedies | explains |
|---|---|---|---|---|
"""


def index(rules: Mapping[str, Rule]) -> str:
    """The text of README.md."""
    text = INTRODUCTION
    for kind in KINDS:
        rows = [_row(rule) for rule in rules.values() if rule.kind == kind]
        text += f"\n## {kind.capitalize()}\n{TABLE}" + "".join(f"{row}\n" for row in rows)
    return text


def _row(rule: Rule) -> str:
    reads = ", ".join([*(f"**{name}**" for name in rule.needs), *rule.optional])
    cells = [f"[{rule.name}]({rule.name}.py)", rule.summary, reads, ", ".join(rule.remedies), ", ".join(rule.explains)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    here = Path(__file__).parent
    ours = {name: rule for name, rule in load_rules().items() if rule.path.parent == here}
    (here / "README.md").write_text(index(ours), encoding="utf-8")
