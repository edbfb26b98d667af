"""Commands that change a script: a plan into its source, and out again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from advisor.commands.arguments import Script
from advisor.errors import AdvisorError
from advisor.script import find

PANEL = "Train"
PLAN = Path("advisor-plan.toml")  # where `advisor fix` writes it

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def apply(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[PLAN] SCRIPT [ARGUMENTS]...",
            help="A plan (.toml; default: advisor-plan.toml), the script, and after `--` the script's arguments.",
            show_default=False,
        ),
    ],
    write: Annotated[bool, typer.Option("--write", help="Write it into the script; undo takes it back.")] = False,
) -> None:
    """Print a plan as a patch of the script, proven by running both. Example: advisor apply train.py

    The script runs under the plan, then patched and without it; every loss must
    be the same. What cannot be written with certainty stays in the plan, with
    the reason. The patch goes to stdout, everything else to stderr.
    """
    from rich.console import Console

    from advisor.plan import Plan
    from advisor.rewriting import patch_shown

    plan = Path(words[0]) if words[0].endswith(".toml") else PLAN
    rest = words[1:] if words[0].endswith(".toml") else words
    if not rest:
        raise AdvisorError(
            "expected a script, found only a plan", context=words[0], hint="advisor apply plan.toml train.py"
        )
    script, console = Path(rest[0]), Console(stderr=True)
    find(script)
    patch_shown(script, Plan.load(plan), rest[1:], write=write, plan_file=plan, console=console)


@app.command(rich_help_panel=PANEL)
def undo(script: Script) -> None:
    """Put back what the last `--write` changed. Example: advisor undo train.py

    Only where the file still is what was written: edits of yours are never lost.
    """
    from advisor.patching.backups import undo as put_back

    for path in put_back(script):
        print(f"{'put back' if path.exists() else 'removed'} {path}", file=sys.stderr)
