"""`advisor demo`: an ordinary script that learns badly, handed to the ordinary `fix`, and what to type next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from advisor.following import fix_shown

FOLDER = Path(".advisor") / "demo"
BUDGET = 30.0  # trainings: room for two remedies on five seeds each; one takes half a second
TIME = 50.0  # s: with the time that torch needs to load, the minute that README promises


def run_demo(console: Console) -> None:
    """Write the script, fix it, and say what to type next."""
    script = write_script(FOLDER)
    console.print(f"[cyan]{script}[/]: a small network on scikit-learn's digits that learns badly.")
    console.print(f"What you would type for a script of your own: [cyan]advisor fix {script}[/]\n")
    plan_file = FOLDER / "advisor-plan.toml"
    session = fix_shown(script, [], budget=BUDGET, seconds=TIME, plan_file=plan_file, console=console)
    top = session.diagnosis.top if session.diagnosis is not None else None
    console.print("\nNext:")
    for command, why in (
        ("advisor report", "this session on a full screen, with every trial and curve"),
        (
            f"advisor explain {top.rule}" if top is not None else "advisor explain",
            "what the finding means, and when not",
        ),
        ("advisor fix train.py", "a script of your own, with its loop in advisor.watch(...)"),
    ):
        console.print(f"  [cyan]{command:<36}[/]  {why}", soft_wrap=True)


def write_script(folder: Path) -> Path:
    """A copy of the demo's script, to be read and changed; an older one is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "train.py"
    script.write_text((Path(__file__).parent / "demo_script.py").read_text(encoding="utf-8"), encoding="utf-8")
    return script
