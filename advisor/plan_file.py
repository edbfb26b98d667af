"""An accepted plan -> its file, which opens with a line that says who wrote it; any other file is left alone."""

from __future__ import annotations

from pathlib import Path

from advisor.errors import PlanError
from advisor.session import FixSession

DEFAULT = Path("advisor-plan.toml")
OURS = "Written by `advisor fix`"


def check_free(path: Path) -> None:
    """Raises: PlanError where something stands there that we did not write, or the folder is missing."""
    if not path.absolute().parent.is_dir():
        raise PlanError("the folder of the plan's file does not exist", context=str(path), hint="make it first")
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8") as file:
            ours = file.readline().removeprefix("#").strip().startswith(OURS)
    except (OSError, UnicodeDecodeError):
        ours = False
    if not ours:
        raise PlanError(
            "this file was not written by `advisor fix`, and would be overwritten",
            context=str(path),
            hint="move it away, or name another file with --plan (plan_file=)",
        )


def write(session: FixSession, path: Path) -> None:
    """Write the session's plan. Raises: PlanError."""
    final, lines = session.final, [f"{OURS}, session {session.id}, for {session.name}."]
    if final is not None:
        lines.append(
            f"{session.metric}: gain {final.gain:+.4g} over {len(final.seeds)} matched seeds, p {final.p:.3g}."
        )
    lines.append(f'Use it: advisor.watch(..., plan="{path.name}")')
    try:
        check_free(path)
        session.plan.save(path, "\n".join(lines))
    except OSError as error:
        raise PlanError(f"cannot write the plan: {error.strerror}", context=str(path), hint="try --plan") from error
