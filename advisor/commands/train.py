"""Commands that train: a script in, runs in the store and a plan out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from advisor.commands.arguments import Arguments, Script
from advisor.script import INTERRUPTED, find
from advisor.words import positive, seconds

PANEL = "Train"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def run(script: Script, arguments: Arguments = None) -> None:
    """Run a training script, with the live screen. Example: advisor run train.py -- --epochs 20"""
    from rich.console import Console

    from advisor.config import load_config
    from advisor.live import run_script
    from advisor.store import Store

    path = find(script)
    store = Store()
    raise typer.Exit(run_script(path, arguments or (), store=store, config=load_config(), console=Console()))


@app.command(rich_help_panel=PANEL)
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this script's last session that was interrupted.")
    ] = False,
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="Where trainings run: local, or ray (RAY_ADDRESS names a cluster).")
    ] = "local",
    gpus: Annotated[
        float | None,
        typer.Option("--gpus-per-trial", min=0, metavar="N", help="With ray: 0.5 is half a GPU (default: one each)."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Then print the plan as a patch of the script, proven.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Then write it into the script; undo takes it back.")] = False,
) -> None:
    """Diagnose a script, try fixes, keep what matched seeds prove. Example: advisor fix train.py --time 10m"""
    from rich.console import Console

    from advisor.following import fix_shown

    find(script)  # before torch is loaded
    session = fix_shown(
        script,
        arguments or [],
        budget=budget,
        seconds=time,
        jobs=jobs,
        seeds=seeds,
        strategy=strategy,
        metric=metric,
        plan_file=plan,
        force=force,
        resume=resume,
        executor=executor,
        gpus_per_trial=gpus,
        console=Console(),
    )
    if session.status == "interrupted":
        raise typer.Exit(INTERRUPTED)
    if (diff or write) and session.plan:
        from advisor.rewriting import patch_shown

        patch_shown(script, session.plan, arguments or [], write=write, plan_file=plan, console=Console(stderr=True))
    elif diff or write:
        print("no plan was accepted, so there is nothing to write into the script", file=sys.stderr)
