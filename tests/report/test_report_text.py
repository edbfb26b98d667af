"""The text report and the summary, on small records made by hand."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest
from built import (
    by_epoch,
    diagnosis,
    findings,
    healthy,
    info,
    not_enough,
    one_seed,
    overfitted,
    run_report,
    session,
    session_report,
)
from rich.cells import cell_len

from advisor.diagnosis import Diagnosis
from advisor.plan import Plan
from advisor.record import Layer, Record
from advisor.report import RunReport, SessionReport, wording
from advisor.report.text import render_text, summary
from advisor.session import FixSession, Trial

RUN = """\
train.py  run 3  finished  20 epochs  31 s on cpu
val_accuracy 0.800  best 0.800 at epoch 19

1  overfitting                                                   confidence 0.93
   Training loss keeps falling (2.00 → 0.008) while validation loss has risen
   169 % since epoch 6.
   validation loss 169 % above its best                            threshold 0.1
   clean train accuracy 0.999, validation 0.800
   since          epoch 6
   confirmed by   half the data widens the gap to 0.24
   explains       overconfidence
   do first       Augment the training data, or stop at epoch 6.

2  overconfidence                                                confidence 0.70
   The model is wrong with a mean confidence of 0.97.
   explained by   overfitting

–  slow_data_loading                                       note, confidence 0.60
   The loader takes 31 % of the time.

8 rules: 3 fired, 3 clear, 2 not applicable (not seen: dead_units,
saturated_units)

fix       advisor fix train.py   tries remedies, keeps what matched seeds prove
why       advisor explain overfitting
look      advisor report
"""

SESSION = """\
trial  plan                         seeds  val_accuracy     gain      p  cost  verdict
    1  augmentation(10)                 5  0.880 ± 0.016  +0.080  0.031  ×1.1  helped ◀ kept
    2  kept + dropout(0.5)              1  0.730          −0.050         ×0.4  hurt, stopped at epoch 11
    3  kept + weight_decay(0.0005)      1  0.784          +0.004         ×1.0  no difference
    4  kept + batch_norm                1  0.780           0.000         ×1.0  no effect, the model has batch norm
       plain, equal budget              5  0.800 ± 0.016                 ×1.1  control
0.800 → 0.880 on seeds that chose nothing (p 0.031). 14 of 20 trainings, 4 min 10 s. Nothing else helped.
with the plan  healthy
advice         More data would help most.

plan      advisor-plan.toml
use it    advisor.watch(..., plan="advisor-plan.toml")
look      advisor report
"""


def test_a_run() -> None:
    """Heading, causes with their numbers, symptoms, notes, the count of rules, and what to do next."""
    assert RUN == render_text(run_report(), 80)


def test_a_session() -> None:
    """The baseline over its seeds, the findings, every trial with its verdict, and what came of it."""
    text = render_text(session_report(), 120)
    opening = "train.py  fix session 4  finished\n" + (
        "baseline  5 seeds  val_accuracy 0.800 ± 0.016  best 0.800 at epoch 19  31 s a run\n\n1  overfitting"
    )
    assert text.startswith(opening)
    assert text.endswith(SESSION)


def test_names_of_remedies_are_not_broken_on_a_narrow_terminal() -> None:
    """At 80 columns the verdict makes room for the plan, and nothing is cut off."""
    plan = Plan.of("drop_output_activation") + Plan.of("augmentation", rotation=10.0, shear=10.0, noise=0.1)
    changes = {"plan": plan, "against": Plan(), "note": "stopped at epoch 11 of 30 epochs"}
    trials = [trial.model_copy(update=changes) for trial in session().trials[1:2]]
    lines = render_text(SessionReport(session().model_copy(update={"trials": tuple(trials)})), 80).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("trial"))
    words = " ".join(lines[start : start + 5]).split()
    for word in ("drop_output_activation", "shear=10)", "helped", "kept,", "+0.080"):
        assert word in words
    assert all(cell_len(line) <= 80 for line in lines)


def test_healthy_is_an_outcome() -> None:
    """It says what was covered; there is nothing to fix and nothing to explain."""
    expected = (
        "healthy   no rule found a problem\n"
        "   seen: 20 epochs, 200 steps, validation, gradients, no activations\n\n"
        "2 rules: 0 fired, 2 clear\n\n"
        "look      advisor report\n"
    )
    assert render_text(RunReport(overfitted(), healthy())).endswith(f"epoch 19\n\n{expected}")


def test_not_enough_evidence_is_not_healthy() -> None:
    """It says what is missing and how to supply it."""
    text = render_text(RunReport(overfitted(), not_enough()))
    expected = (
        "not enough evidence   to call this run healthy or faulty\n"
        "   no validation was seen: pass val= to advisor.watch\n\n"
        "2 rules: 0 fired, 1 clear, 1 not applicable (not seen: val_loss)\n"
    )
    assert expected in text
    assert "healthy   no rule" not in text


def test_a_rule_that_crashed_is_named() -> None:
    """A crash is counted, and not taken for clear."""
    broken = healthy().model_copy(update={"crashed": (("mine", "KeyError: 'x'"),)})
    text = render_text(RunReport(overfitted(), broken))
    assert "3 rules: 0 fired, 2 clear, 1 crashed\ncrashed: mine: KeyError: 'x'\n" in text


def test_a_run_that_broke() -> None:
    """The error, the missing score and what happened inside advisor stand in the heading."""
    series = {"val_loss": by_epoch("val_loss", [1.0, 0.5, float("nan")], "val")}
    record = Record(info(status="failed", error="RuntimeError: boom"), series, problems=("gradients: KeyError",))
    assert [
        "train.py  run 3  failed  3 of 20 epochs  31 s on cpu",
        "val_loss has no final value: the run broke  best 0.500 at epoch 1",
        "RuntimeError: boom",
        "inside advisor: gradients: KeyError",
    ] == render_text(RunReport(record)).splitlines()[:4]


def test_a_record_without_a_score_says_how_to_get_one() -> None:
    """No number is invented where nothing was measured."""
    text = render_text(RunReport(Record(info())))
    assert "no score: nothing was measured that could be compared: pass val= and loss_fn= to advisor.watch" in text
    assert "no diagnosis   the rules are asked when the loop ends" in text


def test_a_session_speaks_of_one_metric() -> None:
    """The best epoch is that of the metric that the session judged by, though the run has a score too."""
    by_loss = SessionReport(session().model_copy(update={"metric": "val_loss", "mode": "min"}), (overfitted(1),))
    assert "val_loss 0.800 ± 0.016  best 1.000 at epoch 6" in render_text(by_loss)


def test_a_session_that_accepted_nothing() -> None:
    """The run stays as it is, and no plan is offered."""
    trials = tuple(t for t in session().trials if not t.kept)
    left = session().model_copy(update={"trials": trials, "plan": Plan(), "final": None, "after": None, "advice": ()})
    assert render_text(SessionReport(left)).endswith(
        "Nothing was accepted; the run stays at 0.800 ± 0.016. 14 of 20 trainings, 4 min 10 s. Nothing else helped.\n"
        "\nlook      advisor report\n".replace(" Nothing else helped.", " Nothing else\nhelped.")
    )


def test_a_session_that_has_just_begun() -> None:
    """Nothing is claimed before it is measured."""
    text = render_text(SessionReport(FixSession(id=1, name="train.py")))
    assert "no baseline was measured" in text
    assert "no trial has ended" in text
    assert "Nothing has been accepted yet" in text


HOSTILE = "[red]x[/red]\x1b[31m\x07\nnext\x9b2J"


def hostile() -> RunReport:
    """Markup, escape sequences and control characters wherever a record has text."""
    made = info(status="failed", error=HOSTILE, name=HOSTILE).model_copy(
        update={"layers": (Layer(name=HOSTILE, kind="Linear", parameters=1),), "device": HOSTILE, "script": None}
    )
    found = findings()[0].model_copy(
        update={"rule": HOSTILE, "message": HOSTILE, "first_step": HOSTILE, "layers": (HOSTILE,), "confirmed_by": ()}
    )
    said = Diagnosis(status="problems", findings=(found,), crashed=((HOSTILE, HOSTILE),))
    return RunReport(replace(overfitted(), info=made, problems=(HOSTILE,)), said)


@pytest.mark.parametrize("color", [False, True])
def test_text_from_a_record_is_printed_as_it_is(color: bool) -> None:
    """A name that looks like markup prints literally; escape sequences and control characters do not get through."""
    report = hostile()
    for text in (
        render_text(report, 100, color=color),
        summary(report.record, report.diagnosis, 100, color=color),
    ):
        assert "[red]x[/red] next" in text
        assert not {"\x07", "\x9b"} & set(text)
        assert "\x1b[31m\x07" not in text
        assert ("\x1b" in text) == color


def test_colors_only_when_asked_for() -> None:
    """A log file gets no escape sequences."""
    assert "\x1b" not in render_text(session_report())
    assert "\x1b[1m" in render_text(session_report(), color=True)


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("height", [12, 24])
def test_the_summary_fits_one_screen(width: int, height: int) -> None:
    """However much was found, and however long its sentences."""
    cause = findings()[0]
    many = tuple(
        cause.model_copy(update={"rule": f"rule_{n}", "message": "loss 层 " * 40, "first_step": "Lower it. " * 9})
        for n in range(15)
    )
    lines = summary(overfitted(), diagnosis().model_copy(update={"findings": many}), width, height).splitlines()
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width


def test_the_summary_counts_what_it_leaves_out() -> None:
    """Findings that do not fit are counted."""
    cause = findings()[0]
    many = tuple(cause.model_copy(update={"rule": f"rule_{n}"}) for n in range(15))
    text = summary(overfitted(), diagnosis().model_copy(update={"findings": many}))
    assert "\nand 13 more: advisor report\n" in text


def test_the_summary_of_a_run() -> None:
    """The heading, each finding with its first step, the count, and what to do next."""
    assert (
        "train.py  run 3  finished  20 epochs  31 s on cpu\n"
        "val_accuracy 0.800  best 0.800 at epoch 19\n\n"
        "1  overfitting                                                   confidence 0.93\n"
        "   Training loss keeps falling (2.00 → 0.008) while validation loss has risen\n"
        "   169 % since epoch 6.\n"
        "   → Augment the training data, or stop at epoch 6.\n"
        "2  overconfidence                                                confidence 0.70\n"
        "   The model is wrong with a mean confidence of 0.97.\n"
        "–  slow_data_loading                                       note, confidence 0.60\n"
        "   The loader takes 31 % of the time.\n"
        "8 rules: 3 fired, 3 clear, 2 not applicable (not seen: dead_units,\n"
        "saturated_units)\n"
        "fix       advisor fix train.py   tries remedies, keeps what matched seeds prove\n"
        "why       advisor explain overfitting\n"
        "look      advisor report"
    ) == summary(overfitted(), diagnosis())


def test_the_command_that_fixes_is_the_one_that_ran() -> None:
    """With the script's own arguments; the remark beside it goes where the line would break."""
    command = ("train.py", "--data", "my files", "--epochs", "3")
    record = replace(overfitted(), info=info().model_copy(update={"command": command}))
    assert "fix       advisor fix train.py -- --data 'my files' --epochs 3\n" in summary(record, diagnosis())
    wide = summary(record, diagnosis(), width=120)
    assert "-- --data 'my files' --epochs 3   tries remedies, keeps what matched seeds prove\n" in wide


def test_what_rules_lacked_is_a_line_or_two() -> None:
    """Three of many, each once; a fact that an experiment leaves is called one."""
    lacks = ("probe.data_fractions", "val_loss", "val_loss", "dead_units", "labels")
    missing = tuple((f"rule_{number}", lack) for number, lack in enumerate(lacks))
    text = render_text(RunReport(overfitted(), healthy().model_copy(update={"not_applicable": missing})), 120)
    assert "(not seen: the experiment data_fractions, val_loss, dead_units and 1 more)" in text


def test_what_was_not_confirmed_is_not_called_useless() -> None:
    """A change that looked better on one seed, and for whose confirmation the budget was too small.

    What is part of the plan counts as kept, though it was screened by itself too.
    """
    known = session()
    trial = known.trials[-2].model_copy(update={"stage": "screen", "verdict": one_seed("inconclusive", 0.05)})
    for number, said in ((1, "1 more looked better, but was not"), (2, "2 more looked better, but were not")):
        text = render_text(SessionReport(known.model_copy(update={"trials": (*known.trials, *[trial] * number)})))
        assert said in " ".join(text.split())
        assert "Nothing else" not in text
    kept = trial.model_copy(update={"plan": known.plan})
    text = render_text(SessionReport(known.model_copy(update={"trials": (*known.trials, kept)})))
    assert "Nothing else helped" in " ".join(text.split())


def test_what_was_stopped_behind_another_does_not_look_better() -> None:
    """It gained something on what is kept, at an epoch where the best change had gained more."""
    known = session()
    lost = known.trials[-2].model_copy(
        update={"stage": "screen", "verdict": one_seed("inconclusive", 0.05), "behind": True}
    )
    text = " ".join(render_text(SessionReport(known.model_copy(update={"trials": (*known.trials, lost)}))).split())
    assert "fell behind" in text
    assert "looked better" not in text
    assert "Nothing else did better." in text


def test_the_best_of_a_baseline_is_of_the_seeds_beside_it() -> None:
    """Not of the run before the first seed, whose score is none of those that are averaged."""
    runs = tuple(
        replace(by_score, info=info(seed + 1).model_copy(update={"seed": seed}))
        for seed, by_score in enumerate((overfitted(gain=-0.5), overfitted(), overfitted(gain=0.1)))
    )
    trial = Trial(number=0, plan=Plan(), stage="baseline", seeds=(1, 2), scores=(0.8, 0.9), runs=(1, 2, 3))
    text = render_text(SessionReport(session().model_copy(update={"trials": (trial,)}), runs))
    assert "baseline  2 seeds  val_accuracy 0.850 ± 0.071  best 0.850 on average  31 s a run\n" in text


def test_wording_examples() -> None:
    """The examples in the docstrings hold."""
    assert 0 == doctest.testmod(wording).failed
