"""A plan and a script -> a patch on stdout, what is proven and what stays in the plan on stderr; written if asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from advisor import plan_file as files
from advisor.errors import AdvisorError, PlanError
from advisor.patching import Patch, backups, make_patch
from advisor.plan import Plan
from advisor.remedies import check_plan


def patch_shown(
    script: Path, plan: Plan, arguments: Sequence[str], *, write: bool, plan_file: Path, console: Console
) -> None:
    """Print the patch; with `write` put it into the script, and what is left of the plan into a file beside the plan's.

    console: for everything but the patch

    Raises: PlanError where no step can be written; AdvisorError.
    """
    check_plan(plan, str(plan_file))
    backups.check_new(script, plan)
    rest = plan_file.with_name(f"{plan_file.stem}-rest{plan_file.suffix}")
    if write:
        files.check_free(rest)
    with console.status("reading the script") as status:
        patch = make_patch(script, plan, arguments, say=status.update)
    for place, reason in patch.kept.items():
        console.print(
            f"stays in the plan  {plan.steps[place]}: {reason}", soft_wrap=True, markup=False, highlight=False
        )
    if patch.proof is None:
        raise PlanError(
            "nothing of the plan can be written into the script",
            context=script.name,
            hint=f'use it as it is: advisor.watch(..., plan="{plan_file}")',
        )
    print(patch.diff, end="", flush=True)
    with_rest = " with what stays in the plan" if patch.rest else ""
    console.print(f"proven  the patched script{with_rest} gives the losses of the plan, {patch.proof}", soft_wrap=True)
    if write:
        _write(patch, rest, plan_file, console)


def _write(patch: Patch, rest: Path, plan_file: Path, console: Console) -> None:
    if patch.path.read_bytes() != patch.before:
        raise AdvisorError(
            "the script was changed while the patch was being proven", context=str(patch.path), hint="do it again"
        )
    texts = {patch.path: patch.after}
    if patch.rest:
        head = f"{files.OURS} and `advisor apply`: what is left of {plan_file.name} for the patched {patch.path.name}."
        texts[rest.absolute()] = patch.rest.to_toml(head).encode()
    backups.write(patch.path, patch.plan, texts)
    console.print(
        f"wrote   {', '.join(path.name for path in texts)}; `advisor undo {patch.path.name}` takes it back",
        soft_wrap=True,
    )
    if patch.rest:
        line = f'use it  advisor.watch(..., plan="{rest.name}")'
        console.print(line, markup=False, highlight=False, soft_wrap=True)
