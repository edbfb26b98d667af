"""A record under way and what was found so far -> the panel of `advisor run`, and its lines. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from advisor.diagnosis import Diagnosis
from advisor.evidence import SCORES
from advisor.record import Record, RunInfo, scalars
from advisor.report.wording import clean, duration, names, number
from advisor.states import History, State

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40  # characters of a curve: fits beside its name and value on 80 columns
MOST_FINDINGS = 3  # on the live screen; the report has them all
MOST_CLEARED = 2  # the newest: what is over needs no room
TIMES = 12  # columns beside the progress bar for the time that passed and the time left


def panel(
    script: str, record: Record | None, diagnosis: Diagnosis | None, history: History, now: float
) -> RenderableType:
    """The live screen at the time `now` (s since 1970). history: the findings of the diagnoses so far, as states."""
    if record is None:
        return Panel(Text("waiting for advisor.watch …", style="dim"), title=script, title_align="left")
    info = record.info
    parts: list[RenderableType] = [_progress(record, now), _curves(record), *_findings(diagnosis, history)]
    if record.problems:
        parts.append(Text(f"{len(record.problems)} problem(s) inside advisor; the training is not affected", "yellow"))
    return Panel(Group(*parts), title=f"{script} · run {info.id} · {info.status}", title_align="left")


def epoch_line(record: Record, epoch: int, now: float) -> str:
    """ "3 of 20 epochs  train_loss 0.312  val_loss 0.402  val_accuracy 0.871  12 s left"."""
    values = [(name, dict(scalars(record, name)).get(epoch)) for name in curve_names(record)]
    numbers = [f"{name} {number(value)}" for name, value in values if value is not None]
    left = time_left(record.info, _done(record), now) if epoch + 1 == record.epochs_seen else None
    return "  ".join([counted(record.info, epoch + 1), *numbers, *([f"{duration(left)} left"] if left else [])])


def counted(info: RunInfo, epochs: int) -> str:
    """How far a run is: a number of epochs, and not the number of one, which is the loop's own and starts at 0."""
    if info.epochs is not None and not info.step_based:
        return f"{epochs} of {info.epochs} epochs"
    plural = "" if epochs == 1 else "s"
    return f"{epochs} window{plural} of steps" if info.step_based else f"{epochs} epoch{plural}"


def news_line(state: State) -> str:
    """ "raised  overfitting 0.85  Training loss keeps falling …", or "cleared  overfitting, raised at epoch 4, …"."""
    if state.stands:
        return f"raised  {state.rule} {state.finding.confidence:.2f}  {clean(state.finding.message)}"
    return f"cleared  {_cleared(state)}"


def curve_names(record: Record) -> list[str]:
    """The series that a reader follows: training and validation loss, the scores, the user's own metric."""
    score = SCORES.get(record.info.task or "", "accuracy")
    wanted = ["train_loss", "val_loss", f"train_{score}", f"val_{score}", record.info.metric]
    return [name for name in dict.fromkeys(wanted) if name is not None and name in record.series]


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """Values over time as bars from their least to their greatest; × where one is not finite.

    >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7])
    '▁▂▃▄▅▆▇█'
    """
    if len(values) > width:
        values = [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    steps = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * steps)] if math.isfinite(value) else "×" for value in values)


def time_left(info: RunInfo, done: int, now: float) -> float | None:
    """Seconds until the loop's planned end at the pace so far; None where that is not known."""
    if info.epochs is None or done < 1 or info.status != "running":
        return None
    return max(0.0, (now - info.started) / done * (info.epochs - done))


def _done(record: Record) -> int:
    """In the loop's own unit, as `info.epochs` is: epochs, or steps."""
    return record.last_step if record.info.step_based else record.epochs_seen


def _progress(record: Record, now: float) -> RenderableType:
    info, done = record.info, _done(record)
    row = Table.grid(padding=(0, 2))
    running = (info.ended or now) - info.started
    if info.epochs is None:
        row.add_row(counted(info, record.epochs_seen), f"step {record.last_step}", duration(running))
        return row
    left = time_left(info, done, now)
    row.add_row(
        f"step {done} of {info.epochs}" if info.step_based else counted(info, done),
        ProgressBar(total=max(info.epochs, 1), completed=done, width=WIDTH - TIMES),
        duration(running),
        f"{duration(left)} left" if left is not None else "",
    )
    return row


def _curves(record: Record) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for name in curve_names(record):
        values = [value for _, value in scalars(record, name)]
        if values:
            table.add_row(Text(clean(name)), number(values[-1]), Text(sparkline(values), style="cyan"))
    return table


def _findings(diagnosis: Diagnosis | None, history: History) -> Iterator[RenderableType]:
    """What stands, what is over, and what was asked. What was seen once is not said yet."""
    if diagnosis is None:
        return
    yield Text("")
    standing, suspected = history.standing, history.suspected
    for state in standing[:MOST_FINDINGS]:
        when = f"  {state.finding.confidence:.2f}  raised in epoch {state.raised}"
        yield Text.assemble((state.rule, "bold red"), (when, "dim"))
        yield Text(f"  {clean(state.finding.message)}")
        symptoms = [f.rule for f in diagnosis.findings if f.explained_by == state.rule]
        if symptoms:
            yield Text(f"  explains {names(symptoms)}", style="dim")
    more = len(standing) - MOST_FINDINGS
    if more > 0:
        yield Text(f"  and {more} more", style="dim")
    if suspected and not standing:
        yield Text(f"{len(suspected)} suspected: the next epoch confirms it or not", style="dim")
    elif not standing:
        healthy = diagnosis.status == "healthy"
        yield Text(f"nothing found so far; {diagnosis.reason}" if healthy else diagnosis.reason, style="dim")
    for state in history.cleared[-MOST_CLEARED:]:
        yield Text(f"cleared  {_cleared(state)}", style="dim")
    yield Text(diagnosis.counts, style="dim")


def _cleared(state: State) -> str:
    reason = f"explained by {state.cause}" if state.cause else "over"
    return f"{state.rule}, raised in epoch {state.raised}, {reason} in epoch {state.cleared}"
