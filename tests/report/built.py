"""Small records, diagnoses and sessions with round numbers, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from advisor.diagnosis import Diagnosis
from advisor.finding import Finding, Number
from advisor.plan import Plan
from advisor.record import Json, Layer, Phase, Record, RunInfo, Series, Status
from advisor.report import RunReport, SessionReport
from advisor.session import FixSession, Trial, Verdict

LAYERS = ("conv1", "conv2", "head.fc1", "head.fc2")
EPOCHS = 20
STEPS = 10  # an epoch


def info(number: int = 3, *, status: Status = "finished", error: str | None = None, name: str = "train.py") -> RunInfo:
    """A run of 31 s."""
    return RunInfo(
        id=number,
        name=name,
        status=status,
        error=error,
        started=100.0,
        ended=131.0,
        script="/home/user/train.py",
        directory="/home/user",
        epochs=EPOCHS,
        task="multiclass",
        layers=tuple(Layer(name=name, kind="Linear", parameters=10) for name in LAYERS),
    )


def by_epoch(name: str, values: ArrayLike, phase: Phase = "train") -> Series:
    """A scalar series, one value an epoch."""
    column = np.asarray(values, np.float32)[:, None]
    epochs = np.arange(len(column), dtype=np.int64)
    return Series(name, phase, ("",), (epochs + 1) * STEPS, epochs, column)


def by_layer(name: str, values: Sequence[Sequence[float]], axis: tuple[str, ...] = LAYERS) -> Series:
    """A series by step, one row of values, one a layer, at the end of each epoch."""
    epochs = np.arange(len(values), dtype=np.int64)
    return Series(name, "step", axis, (epochs + 1) * STEPS, epochs, np.array(values, np.float32))


def overfitted(number: int = 3, *, gain: float = 0.0) -> Record:
    """Training loss falls to nothing, validation loss turns at epoch 6; accuracy ends at 0.8 + gain."""
    t = np.arange(EPOCHS)
    layers = np.outer(0.9**t, [1e-2, 1e-3, 1e-4, 0.0])
    series = [
        by_epoch("train_loss", 2.0 * 0.75**t),
        by_epoch("clean_train_loss", 1.8 * 0.75**t, "clean_train"),
        by_epoch("val_loss", 1.0 + (0.01 - 0.1 * gain) * (t - 6.0) ** 2, "val"),
        by_epoch("clean_train_accuracy", 1.0 - 0.9 * 0.7**t, "clean_train"),
        by_epoch("val_accuracy", 0.8 + gain - 0.7 * 0.6**t, "val"),
        by_layer("update_ratio", layers.tolist()),
        by_layer("grad_norm", (100 * layers).tolist()),
    ]
    facts: dict[str, Json] = {"batch_size": 64, "classes": 10}
    return Record(info(number), {s.name: s for s in series}, facts)


def findings() -> tuple[Finding, ...]:
    """A cause, and a symptom that it explains."""
    cause = Finding(
        rule="overfitting",
        message="Training loss keeps falling (2.00 → 0.008) while validation loss has risen 169 % since epoch 6.",
        numbers=(
            Number(text="validation loss 169 % above its best", value=1.69, threshold=0.1),
            Number(text="clean train accuracy 0.999, validation 0.800", value=0.199),
        ),
        confidence=0.93,
        first_step="Augment the training data, or stop at epoch 6.",
        since=6,
        confirmed_by=("half the data widens the gap to 0.24",),
        remedies=("augmentation", "dropout"),
        explains=("overconfidence",),
    )
    symptom = Finding(
        rule="overconfidence",
        message="The model is wrong with a mean confidence of 0.97.",
        numbers=(Number(text="mean confidence 0.97 where wrong", value=0.97, threshold=0.8),),
        confidence=0.7,
        explained_by="overfitting",
    )
    return cause, symptom


def diagnosis() -> Diagnosis:
    """Two fired, one of them explained; a note; three clear; two not applicable; none crashed."""
    note = Finding(
        rule="slow_data_loading",
        message="The loader takes 31 % of the time.",
        numbers=(),
        confidence=0.6,
        severity="note",
    )
    return Diagnosis(
        status="problems",
        findings=findings(),
        notes=(note,),
        clear=("exploding_gradients", "vanishing_gradients", "frozen_layers"),
        not_applicable=(("dead_units", "dead_units"), ("saturation", "saturated_units")),
    )


def healthy() -> Diagnosis:
    return Diagnosis(
        status="healthy", reason="seen: 20 epochs, 200 steps, validation, gradients, no activations", clear=("a", "b")
    )


def not_enough() -> Diagnosis:
    return Diagnosis(
        status="not_enough_evidence",
        reason="no validation was seen: pass val= to advisor.watch",
        clear=("a",),
        not_applicable=(("b", "val_loss"),),
    )


def run_report() -> RunReport:
    return RunReport(overfitted(), diagnosis())


SEEDS = (0, 1, 2, 3, 4)
PLAIN = (0.78, 0.79, 0.8, 0.81, 0.82)  # mean 0.8, standard deviation 0.0158
AUGMENTED = (0.86, 0.87, 0.88, 0.89, 0.9)  # mean 0.88


def verdict(**changes: object) -> Verdict:
    """Five seeds, 0.08 better each."""
    values: dict[str, object] = {
        "kind": "helped",
        "seeds": SEEDS,
        "baseline": PLAIN,
        "plan": AUGMENTED,
        "gain": 0.08,
        "p": 0.03125,
        "noise": 0.0158,
        "reason": "all five seeds gained",
    }
    return Verdict.model_validate(values | changes)


def one_seed(kind: str, gain: float) -> Verdict:
    return verdict(
        kind=kind, seeds=(0,), baseline=(0.78,), plan=(0.78 + gain,), gain=gain, p=None, noise=None, reason=""
    )


def session() -> FixSession:
    """A baseline, a plan that helped, one that hurt, one without difference, one without effect, and the control."""
    augmentation = Plan.of("augmentation", degrees=10)
    trials = (
        Trial(number=0, plan=Plan(), stage="baseline", seeds=SEEDS, scores=PLAIN, runs=(1,)),
        Trial(
            number=1,
            plan=augmentation,
            stage="confirm",
            seeds=SEEDS,
            scores=AUGMENTED,
            verdict=verdict(),
            kept=True,
            cost=1.1,
            runs=(2,),
        ),
        Trial(
            number=2,
            plan=augmentation + Plan.of("dropout", rate=0.5),
            against=augmentation,
            stage="screen",
            seeds=(0,),
            scores=(0.73,),
            verdict=one_seed("hurt", -0.05),
            cost=0.4,
            note="stopped at epoch 11",
        ),
        Trial(
            number=3,
            plan=augmentation + Plan.of("weight_decay", weight_decay=0.0005),
            against=augmentation,
            stage="screen",
            seeds=(0,),
            scores=(0.784,),
            verdict=one_seed("no_difference", 0.004),
            cost=1.0,
        ),
        Trial(
            number=4,
            plan=augmentation + Plan.of("batch_norm"),
            against=augmentation,
            stage="screen",
            seeds=(0,),
            scores=(0.78,),
            verdict=one_seed("no_effect", 0.0),
            cost=1.0,
            note="the model has batch norm",
        ),
        Trial(number=5, plan=Plan(), stage="control", seeds=SEEDS, scores=PLAIN, cost=1.1),
    )
    return FixSession(
        id=4,
        name="train.py",
        status="finished",
        metric="val_accuracy",
        mode="max",
        budget=20.0,
        spent=14.0,
        seconds=250.0,
        diagnosis=diagnosis().model_copy(update={"notes": ()}),
        after=healthy(),
        trials=trials,
        plan=augmentation,
        final=verdict(),
        plan_file="advisor-plan.toml",
        advice=("More data would help most.",),
    )


def session_report() -> SessionReport:
    return SessionReport(session(), baseline=(overfitted(1),), accepted=(overfitted(2, gain=0.08),))
