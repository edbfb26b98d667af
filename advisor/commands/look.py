"""Commands that only read: what the store holds, as text, JSON or a full screen."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from advisor.commands import output
from advisor.commands.arguments import AsJson
from advisor.errors import AdvisorError

PANEL = "Look"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def report(
    run: Annotated[
        int | None, typer.Argument(help="A run's id (default: what was written last).", show_default=False)
    ] = None,
    session: Annotated[int | None, typer.Option(metavar="N", help="A session of `advisor fix`.")] = None,
    text: Annotated[bool, typer.Option("--text", help="Print text, also on a terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a run or a fix session: a full screen on a terminal, else text."""
    from advisor.report import load_report
    from advisor.store import Store

    if run is not None and session is not None:
        raise AdvisorError("expected a run or a session, found both", hint="leave one of them out")
    found = load_report(Store(create=False), run=run, session=session)
    if as_json:
        from advisor.report.json import render_json

        print(render_json(found))
    elif text or not (sys.stdout.isatty() and sys.stdin.isatty()):
        from advisor.report.text import WIDTH, render_text

        on_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_terminal else WIDTH
        print(render_text(found, width, color=on_terminal and "NO_COLOR" not in os.environ), end="")
    else:
        from advisor.report.tui import run_tui

        run_tui(found)


@app.command(rich_help_panel=PANEL)
def runs(
    every: Annotated[bool, typer.Option("--all", help="All of them, those that `advisor fix` made too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the runs and fix sessions in the store, newest last."""
    from advisor.listing import list_runs, render
    from advisor.store import Store

    found = list_runs(Store(create=False), every=every)
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        output.show(render(found))
