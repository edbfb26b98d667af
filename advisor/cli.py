"""The command line, one function a command: words in, text on the terminal and an exit code out.

Whatever needs torch is imported inside the command that needs it, so that the others open at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from advisor import __version__
from advisor.errors import AdvisorError
from advisor.script import INTERRUPTED, find, show
from advisor.words import positive, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType

EXIT_CODES = """Exit codes:
    0  done
    2  wrong usage, or an input that cannot be used
    3  the script is not there, raised, or never called advisor.watch
    4  the store
    5  a rule
    6  a plan
    7  a remedy found nothing to change
  130  interrupted
`advisor run` ends with the script's own code."""
PIPED = 120  # columns where nobody said how many there are: a table on one line a row
TRAIN, LOOK, LEARN = "Train", "Look", "Learn"

app = typer.Typer(
    name="advisor",
    help="Watches a PyTorch training run, says what is wrong, tries fixes, and keeps what matched seeds prove.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `advisor`: every error is one message and an exit code; --debug shows where it came from."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        sys.exit(app(args=words, prog_name="advisor", standalone_mode=False) or 0)
    except AdvisorError as error:
        if os.environ.get("ADVISOR_DEBUG"):
            raise
        show(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the parser of the command line raises has it
            raise
        message = str(error.format_message())
        takes_a_script = words[0] in ("run", "fix") and "No such option" in message
        hint = "options of the script go after `--`; " if takes_a_script else ""
        show(AdvisorError(message, hint=f"{hint}`advisor --help`"))
        sys.exit(AdvisorError.exit_code)


def _version(asked: bool) -> None:
    if asked:
        print(f"advisor {__version__}")
        raise typer.Exit


def _debug(asked: bool) -> None:
    if asked:
        os.environ["ADVISOR_DEBUG"] = "1"


Script = Annotated[Path, typer.Argument(help="A training script that calls advisor.watch.", show_default=False)]
Arguments = Annotated[
    list[str] | None, typer.Argument(help="For the script; write them after `--`.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", callback=_debug, help="Show where an error comes from (also ADVISOR_DEBUG=1).")
    ] = False,
) -> None:
    """What holds for every command."""


@app.command(rich_help_panel=TRAIN)
def run(script: Script, arguments: Arguments = None) -> None:
    """Run a training script, with the live screen. Example: advisor run train.py -- --epochs 20"""
    from rich.console import Console

    from advisor.config import load_config
    from advisor.live import run_script
    from advisor.store import Store

    path = find(script)
    store = Store()
    raise typer.Exit(run_script(path, arguments or (), store=store, config=load_config(), console=Console()))


@app.command(rich_help_panel=TRAIN)
def fix(
    script: Script,
    arguments: Arguments = None,
    budget: Annotated[
        float, typer.Option(parser=positive, metavar="N", help="At most this many trainings of the script's length.")
    ] = 20.0,  # DESIGN: five baselines, a few screens, confirmations on five seeds, and the controls
    time: Annotated[
        float | None, typer.Option(parser=seconds, metavar="DURATION", help="At most this long: 90, 90s, 10m, 1h.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Trainings at the same time (default: one a core).")] = None,
    seeds: Annotated[int, typer.Option(help="Matched seeds that a verdict rests on.")] = 5,  # 2⁻⁵ < 0.05
    strategy: Annotated[
        str, typer.Option(metavar="NAME", help="What chooses the trials: rules, tpe or random.")
    ] = "rules",
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to improve, e.g. val_accuracy (default: the script's own).")
    ] = None,
    plan: Annotated[Path, typer.Option(metavar="FILE", help="Where the accepted plan goes.")] = Path(
        "advisor-plan.toml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Try fixes on a healthy run too.")] = False,
) -> None:
    """Diagnose a script, try fixes, keep what matched seeds prove. Example: advisor fix train.py --time 10m"""
    from rich.console import Console

    from advisor.following import fix_shown

    session = fix_shown(
        find(script),
        arguments or [],
        budget=budget,
        seconds=time,
        jobs=jobs,
        seeds=seeds,
        strategy=strategy,
        metric=metric,
        plan_file=plan,
        force=force,
        console=Console(),
    )
    if session.status == "interrupted":
        raise typer.Exit(INTERRUPTED)


@app.command(rich_help_panel=LOOK)
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


@app.command(rich_help_panel=LOOK)
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
        _print(render(found))


@app.command(rich_help_panel=LEARN)
def explain(
    name: Annotated[
        str | None, typer.Argument(metavar="[RULE|REMEDY]", help="Without it they are listed.", show_default=False)
    ] = None,
) -> None:
    """Print the page of a rule or a remedy. Example: advisor explain overfitting"""
    from advisor.config import load_config
    from advisor.pages import find_page, listing, load_pages

    pages = load_pages(load_config().rules_folders)
    if name is None:
        _print(listing(pages))
        return
    from rich.markdown import Markdown

    page = find_page(pages, name)
    _print(Markdown(f"# {page.name} ({page.kind})\n\n{page.text}"))


@app.command("new-rule", rich_help_panel=LEARN)
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


@app.command("check-rules", rich_help_panel=LEARN)
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
    _print(table(examined))
    failed = sum(bool(one.failures) for one in examined)
    if failed:
        raise RuleError(f"{failed} of {len(examined)} rules do not pass", context=str(folder))


@app.command(rich_help_panel=LEARN)
def demo() -> None:
    """All of it on real data in under a minute: train badly, diagnose, try fixes, keep what helps."""
    from rich.console import Console

    from advisor.demo import run_demo

    run_demo(Console())


def _print(what: RenderableType) -> None:
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        console.print(what)
        return
    piped = Console(width=PIPED)
    with piped.capture() as captured:
        piped.print(what)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


if __name__ == "__main__":
    main()
