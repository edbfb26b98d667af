"""Commands that teach: the pages, rules of one's own, and all of it on real data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from advisor.commands import output

PANEL = "Learn"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def explain(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Without it they are listed.", show_default=False)
    ] = None,
) -> None:
    """Print the page of a rule, a remedy or an experiment. Example: advisor explain overfitting"""
    from advisor.config import load_config
    from advisor.pages import find_page, listing, load_pages

    pages = load_pages(load_config().rules_folders)
    if name is None:
        output.show(listing(pages))
        return
    from rich.markdown import Markdown

    page = find_page(pages, name)
    output.show(Markdown(f"# {page.name} ({page.kind})\n\n{page.text}"))


@app.command("new-rule", rich_help_panel=PANEL)
def new_rule(
    name: Annotated[str, typer.Argument(help="What is wrong, as a name: too_slow.", show_default=False)],
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where your rules are.")] = Path("my_rules"),
) -> None:
    """Write a rule of your own to start from, and two scripts to check it on. Example: advisor new-rule too_slow

    FOLDER/NAME.py is the rule. Its docstring is the page that `advisor explain`
    prints; its function gets the numbers of one run and returns a finding or
    None. The names of the numbers that a run has: `advisor report --json`.

    FOLDER/fixtures/NAME/faulty.py has the fault, fixed.py is the same without it.

    They work as they are written. Make them yours, and see what is missing with
    `advisor check-rules FOLDER`. No file is ever overwritten.
    """
    from advisor.new_rule import new_rule as write

    for path in write(name, folder):
        print(f"wrote {path}")
    print(f"check it  advisor check-rules {folder}")
    print(f'use it    rule_folders = ["{folder}"] below [tool.advisor] in pyproject.toml')


@app.command("check-rules", rich_help_panel=PANEL)
def check_rules(
    folder: Annotated[Path, typer.Argument(help="A folder of rules.")] = Path("my_rules"),
) -> None:
    """Check rules of your own as ours are checked. Example: advisor check-rules my_rules

    That is: the page is complete, names and sources are there, the rule comes
    first on its faulty twin, is clear on the fixed one and silent on our healthy
    runs, also with each threshold 1.5 times stricter or looser, and never crashes.

    A twin that was not run yet, or has changed since, is run first. Exit code 5
    where a rule does not pass.
    """
    from advisor.errors import RuleError
    from advisor.examining import examine, table

    examined = examine(folder, lambda line: print(line, file=sys.stderr))
    output.show(table(examined))
    failed = sum(bool(one.failures) for one in examined)
    if failed:
        raise RuleError(f"{failed} of {len(examined)} rules do not pass", context=str(folder))


@app.command(rich_help_panel=PANEL)
def demo() -> None:
    """All of it on real data in under a minute: train badly, diagnose, try fixes, keep what helps."""
    from rich.console import Console

    from advisor.demo import run_demo

    run_demo(Console())
