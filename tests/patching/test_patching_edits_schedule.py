"""Where a plan moves a scheduler's step in the source; and where the edit declines, why."""

from __future__ import annotations

from pathlib import Path

import pytest
from planned import SGD, changes, script, written

from advisor.patching import make_patch
from advisor.plan import Plan

PLAN = Plan.of("schedule_per_epoch")
EXPONENTIAL = "scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)"
STEP = "        optimizer.step()\n"


def scheduled(folder: Path, *replaced: tuple[str, str], made: str = EXPONENTIAL) -> Path:
    """The short script with a scheduler, and some of its text replaced."""
    return script(folder, (SGD, f"{SGD}\n{made}"), *replaced)


def test_the_last_statement_of_the_loop_moves_out(tmp_path: Path) -> None:
    """The same text, as far in as the loop; a comment behind it comes along."""
    line = "        scheduler.step()  # decay"
    path = scheduled(tmp_path, (STEP, f"{STEP}{line}\n"))
    assert ([f"-{line}", f"+{line[4:]}"], []) == written(path, PLAN)


def test_a_statement_in_the_middle_moves_behind_the_loop(tmp_path: Path) -> None:
    """Behind the loop's last line, and before what comes next."""
    line = "        scheduler.step()"
    path = scheduled(tmp_path, (STEP, f"{STEP}{line}\n        if len(x):\n            seen = x  # last\n"))
    assert ([f"-{line}", f"+{line[4:]}"], []) == written(path, PLAN)


def test_tabs_and_a_function(tmp_path: Path) -> None:
    """The loop over the loader may be in a function that the epoch loop calls."""
    loop = (
        "    for x, y in train_loader:\n        optimizer.zero_grad()\n        loss_fn(model(x), y).backward()\n" + STEP
    )
    function = f"def train():\n{loop}        scheduler.step()\n".replace("    ", "\t")
    path = scheduled(tmp_path, (loop, "    train()\n"), ("for _ in advisor", f"{function}\n\nfor _ in advisor"))
    assert (["-\t\tscheduler.step()", "+\tscheduler.step()"], []) == written(path, PLAN)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (
            "        if len(x) > 1:\n            scheduler.step()\n",
            "`scheduler.step()` at line 22 is no statement of the loop over the training loader",
        ),
        (
            "        scheduler.step(), len(x)\n",
            "`scheduler.step()` at line 21 is no statement of the loop over the training loader",
        ),
        ("        scheduler.step()\n        scheduler.step()\n", "scheduler.step() is called at 2 places"),
        (
            "        for _ in range(2):\n            scheduler.step()\n",
            "`scheduler.step()` at line 22 is no statement of the loop over the training loader",
        ),
        ("        scheduler.step(None)\n", "line 21 gives `scheduler.step(None)` something of each batch"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")
def test_other_calls_stay_where_they_are(step: str, reason: str, tmp_path: Path) -> None:
    """Under a condition, twice, as a part of a statement, in a loop of its own, or with arguments."""
    assert ([], [reason]) == written(scheduled(tmp_path, (STEP, STEP + step)), PLAN)


def test_the_patched_script_trains_as_the_plan_does(tmp_path: Path) -> None:
    """Every loss is the same, bit for bit."""
    path = scheduled(tmp_path, (STEP, f"{STEP}        scheduler.step()\n"))
    patch = make_patch(path, PLAN)
    assert ["-        scheduler.step()", "+    scheduler.step()"] == changes(patch.before, patch.after)
    assert patch.proof is not None
    assert 0.0 == patch.proof.difference


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_a_step_before_the_optimizers_is_left(tmp_path: Path) -> None:
    """The remedy carries out the first of an epoch, so that behind the loop it would be another run."""
    path = scheduled(tmp_path, (STEP, f"        scheduler.step()\n{STEP}"))
    reason = "line 20 steps the scheduler before the optimizer; put it behind that one first"
    assert ([], [reason]) == written(path, PLAN)
