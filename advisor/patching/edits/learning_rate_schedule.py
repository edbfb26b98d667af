"""A scheduler of torch's behind the optimizer, stepped after each of its steps."""

from __future__ import annotations

import libcst as cst

from advisor.patching.arguments import callee
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._calls import only_call
from advisor.patching.literals import written
from advisor.patching.source import Replacement, Source
from advisor.remedies.learning_rate_schedule import DROP, DROPS

MODULES = ("torch.optim.", "optim.")  # where a prefix names the module, its schedulers are at hand
NAMES = ("scheduler", "lr_scheduler")


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """Two lines, for the curves that torch has. Raises: Declined for the others."""
    if shown.parameters.get("instead"):
        raise Declined("the script's own scheduler would have to go")
    made = shown.optimizer
    call = source.call(made.site, "the optimizer")
    prefix, _ = callee(source, call, made.kind)
    if prefix not in MODULES:
        raise Declined(
            f"line {source.line(call)} names {made.kind} without torch.optim, so a scheduler needs an import"
        )
    scheduler = _scheduler(str(shown.parameters["kind"]), int(shown.number("steps")))
    step, assigned = only_call(source, shown, "step"), source.statement(call)
    name = step.func.value if isinstance(step.func, cst.Attribute) and step.func.attr.value == "step" else None
    own = _assigned_to(call, assigned)
    if name is None or own is None or source.of(name) != own or source.scope(step) is not source.scope(call):
        raise Declined(f"line {source.line(step)} steps `{source.of(step)}`, and not a name that line "
                       f"{source.line(call)} gives the optimizer")  # fmt: skip
    taken = {node.value for node in source.all(cst.Name)}
    free = next((new for new in NAMES if new not in taken), None)
    if free is None:
        raise Declined(f"the script has names {' and '.join(NAMES)} already")
    line = f"{free} = {prefix}lr_scheduler.{scheduler.format(optimizer=own)}"
    return [source.after(assigned, line), source.after(source.statement(step), f"{free}.step()")]


def _scheduler(kind: str, steps: int) -> str:
    """The call that makes it, over so many steps."""
    if kind == "cosine":
        return f"CosineAnnealingLR({{optimizer}}, T_max={steps})"
    if kind == "exponential":
        return f"ExponentialLR({{optimizer}}, gamma={written(DROP ** (len(DROPS) / steps))})"
    if kind == "step":
        milestones = [-int(-drop * steps // 1) for drop in DROPS]  # rounded up
        return f"MultiStepLR({{optimizer}}, milestones={milestones})"
    raise Declined(f"torch has no scheduler with this curve ({kind})")


def _assigned_to(call: cst.Call, statement: cst.BaseStatement) -> str | None:
    """The one name that a statement gives to what a call makes."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    line = statement.body[0]
    if not isinstance(line, cst.Assign) or line.value is not call or len(line.targets) != 1:
        return None
    target = line.targets[0].target
    return target.value if isinstance(target, cst.Name) else None
