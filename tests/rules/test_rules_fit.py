"""overfitting, underfitting and data_scarcity on constructed runs."""

from __future__ import annotations

import numpy as np
import pytest
from constructed import RULES, fired, made, result

from advisor.diagnosis import diagnose
from advisor.evidence import Evidence

N = 40  # epochs of a constructed run
EPOCHS = np.arange(N)
FALLING = np.exp(-EPOCHS / 5.0)  # from 1 to 0.0004
TURNING = 0.5 + 0.0005 * (EPOCHS - 10) ** 2  # 0.5 at epoch 10, 0.92 at the end
SAMPLES = {"val_samples": 1000, "clean_train_samples": 500, "chance_score": 0.1, "classes": 10}


def overfit(**change: object) -> Evidence:
    """Validation loss turns at epoch 10, its accuracy stays at 0.8, training becomes perfect."""
    series: dict[str, object] = {
        "train_loss": FALLING,
        "val_loss": TURNING,
        "val_accuracy": np.full(N, 0.8),
        "clean_train_accuracy": 1.0 - FALLING / 2,
        "step_loss": np.full(N, 2.3),
    }
    facts = change.pop("facts", SAMPLES)
    return made(facts=facts, **{**series, **change})  # type: ignore[arg-type]  # arrays and facts by name


def test_a_rising_loss_at_a_steady_score_is_overfitting_of_the_loss() -> None:
    """Over-confidence: the loss is named as what is harmed, since the epoch of its minimum."""
    finding = fired("overfitting", overfit())
    assert finding.metric == "val_loss"
    assert finding.since == 11  # the mean of three epochs is lowest one epoch after the minimum
    assert finding.numbers[0].value == pytest.approx((0.0005 * 27**2 - 0.001 / 3) / 0.5)  # the best of the last three


def test_a_falling_score_is_overfitting_of_the_score() -> None:
    """Five points lost since epoch 10, slowly: no series is named beside the run's own score."""
    lost = 0.8 - 0.002 * np.maximum(EPOCHS - 10, 0)
    finding = fired("overfitting", overfit(val_accuracy=lost, val_loss=np.full(N, 0.6)))
    assert finding.metric is None
    assert finding.confidence == 0.9
    assert fired("overfitting", overfit(val_accuracy=lost)).confidence == 0.95


def test_one_bad_last_epoch_is_not_overfitting() -> None:
    """The validation loss doubles in the last epoch only."""
    flat = np.full(N, 0.5)
    flat[-1] = 1.0
    assert result("overfitting", overfit(val_loss=flat, clean_train_accuracy=np.full(N, 0.9))) == "clear"


def test_a_small_gap_is_not_overfitting() -> None:
    """Training 1.00, validation 0.97: the loss may rise, the model is fine."""
    assert result("overfitting", overfit(val_accuracy=np.full(N, 0.97))) == "clear"


def test_a_gap_within_its_own_error_is_not_overfitting() -> None:
    """With 20 validation samples an accuracy of 0.8 is known to 0.09: a gap of 0.2 may be chance."""
    assert result("overfitting", overfit(facts={**SAMPLES, "val_samples": 20})) == "clear"


def test_a_loss_that_scatters_is_not_a_loss_that_rises() -> None:
    """A third above its minimum at the end, and it did that all along."""
    scatter = 0.6 + 0.2 * np.random.default_rng(0).standard_normal(N)
    assert result("overfitting", overfit(val_loss=scatter, clean_train_accuracy=np.full(N, 0.9))) == "clear"


def test_validation_that_never_was_good_is_no_overfitting() -> None:
    """Its best loss is above the loss of the first step: another kind of data."""
    assert result("overfitting", overfit(val_loss=TURNING + 5)) == "clear"


def test_a_training_that_got_worse_itself_is_no_overfitting() -> None:
    """Training was best in epoch 0, validation in epoch 10: that is divergence."""
    assert result("overfitting", overfit(train_loss=0.1 + FALLING[::-1])) == "clear"


def test_only_epochs_before_the_restored_weights_count() -> None:
    """Early stopping put back the weights of epoch 12: what the loss did later harms nobody."""
    restored = {**SAMPLES, "best_weights_epoch": 12}
    assert result("overfitting", overfit(facts=restored, clean_train_accuracy=np.full(N, 0.9))) == "clear"


def test_training_data_known_by_heart_at_a_wide_gap() -> None:
    """Nothing rises, nothing is left to learn, validation stands ten points and more behind."""
    known = overfit(val_loss=0.5 + FALLING, clean_train_accuracy=np.full(N, 1.0), val_accuracy=np.full(N, 0.85))
    assert fired("overfitting", known).confidence == 0.6
    still = overfit(
        val_loss=0.5 + FALLING, clean_train_accuracy=np.full(N, 1.0), val_accuracy=np.linspace(0.4, 0.85, N)
    )
    assert result("overfitting", still) == "clear"  # validation still improves


def test_losses_alone_suffice() -> None:
    """A language model has no score; the turn of the validation loss is seen all the same."""
    finding = fired("overfitting", made(train_loss=FALLING, val_loss=TURNING, step_loss=np.full(N, 2.3)))
    assert len(finding.numbers) == 1


def test_r_squared_has_no_binomial_error() -> None:
    """A regression is judged by the scatter of its R² between epochs."""
    run = overfit(
        task="regression",
        val_r2=0.5 - 0.004 * np.maximum(EPOCHS - 10, 0),
        clean_train_r2=1 - FALLING,
        val_accuracy=np.zeros(N),
    )
    assert "R²" in fired("overfitting", run).numbers[-1].text


# ------------------------------------------------------------------------------------------------- underfitting


def small(
    layers: list[tuple[str, str, int]],
    classes: int = 10,
    train: float = 0.6,
    val: float | None = None,
    **facts: object,
) -> Evidence:
    """A classifier whose accuracy is 0.6 on both sides."""
    return made(
        layers=layers,
        train_loss=0.9 + FALLING,
        step_loss=np.full(N, 2.3),
        clean_train_accuracy=np.full(N, train),
        val_accuracy=np.full(N, train - 0.01 if val is None else val),
        facts={"classes": classes, "chance_score": 0.1, **facts},  # type: ignore[dict-item]  # numbers
    )


def test_the_width_before_the_output_is_read_from_its_parameters() -> None:
    """Linear(3, 10) has 40 parameters: ten classes through three units."""
    finding = fired("underfitting", small([("0", "Linear", 64 * 3 + 3), ("2", "Linear", 40)]))
    assert finding.layers == ("2",)
    assert "10 classes pass through the 3 units before 2" in finding.message


def test_a_narrow_layer_in_the_middle_is_found() -> None:
    """20 → 32 → 1 → 16 → 10, with normalisation between: the single unit is before layer 3."""
    widths = [
        ("0", "Linear", 32 * 21),
        ("1", "BatchNorm1d", 64),
        ("2", "Linear", 33),
        ("3", "Linear", 32),
        ("4", "Linear", 170),
    ]
    finding = fired("underfitting", small(widths))
    assert finding.layers == ("3",)
    assert "the 1 unit before 3" in finding.message


def test_the_inputs_are_no_hidden_layer() -> None:
    """A linear classifier of four features is as wide as its data: only a note."""
    finding = fired("underfitting", small([("0", "Linear", 10 * 5)]))
    assert finding.severity == "note"


def test_noise_and_too_little_capacity_look_alike() -> None:
    """Both scores low, close and flat, no narrow layer: a note, and the run stays healthy."""
    run = small([("0", "Linear", 64 * 65), ("2", "Linear", 10 * 65)])
    assert fired("underfitting", run).severity == "note"
    assert diagnose(run, {"underfitting": RULES["underfitting"]}).findings == ()


@pytest.mark.parametrize(("chance", "severity"), [(0.1, "problem"), (0.95, "note")])
def test_a_reference_has_to_beat_guessing_itself(chance: float, severity: str) -> None:
    """Balanced weights cost accuracy where one class is rare; a reference that never names that class is none."""
    reference = {"score": 0.96, "chance": chance, "samples": 256}
    run = small([("0", "Linear", 64 * 65), ("2", "Linear", 10 * 65)], **{"probe.reference": reference})
    assert severity == fired("underfitting", run).severity


@pytest.mark.parametrize(("val", "severity"), [(0.6, "problem"), (0.95, "note")])
def test_what_does_well_on_new_samples_is_not_too_small(val: float, severity: str) -> None:
    """Training samples may be the harder ones: images of other sizes, or augmented by the data set itself."""
    reference = {"score": 0.96, "chance": 0.1, "samples": 256}
    run = small([("0", "Linear", 64 * 65), ("2", "Linear", 10 * 65)], val=val, **{"probe.reference": reference})
    assert severity == fired("underfitting", run).severity


@pytest.mark.parametrize("ignored", [True, False])
def test_a_model_that_ignores_its_inputs_is_called_so(*, ignored: bool) -> None:
    """Its width is not what it lacks."""
    probes = {
        "probe.reference": {"score": 0.96, "chance": 0.1, "samples": 256},
        "probe.zeroed_inputs": {"ignored": ignored},
    }
    finding = fired("underfitting", small([("0", "Linear", 64 * 65), ("2", "Linear", 10 * 65)], **probes))
    assert ignored is finding.message.startswith("The model does not use its inputs")
    assert ignored is ("zeroed_inputs" in finding.confirmed_by)


@pytest.mark.parametrize(
    ("train", "reason"), [(0.95, "nearly everything is right"), (0.12, "it has not learned at all")]
)
def test_what_is_not_underfitting(train: float, reason: str) -> None:
    """Neither a model that fits nor one that guesses is too small."""
    assert result("underfitting", small([("0", "Linear", 64 * 3 + 3), ("2", "Linear", 40)], train=train)) == "clear", (
        reason
    )


# ------------------------------------------------------------------------------------------------ data_scarcity


def experiment(gain: float, width: float = 0.005, metric: str = "val_accuracy", last: float = 0.8) -> dict[str, object]:
    return {
        "fractions": [0.25, 0.5, 1.0],
        "scores": [last - 0.2, last - 0.1, last],
        "doubling_gain": gain,
        "doubling_gain_sd": width,
        "metric": metric,
    }


def test_scarcity_needs_the_experiment() -> None:
    """Without it the rule is not applicable, however few the samples."""
    outcome = RULES["data_scarcity"].run(overfit(facts={**SAMPLES, "train_samples": 10}))
    assert (outcome.result, outcome.missing) == ("not_applicable", "probe.reference")


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (experiment(0.06), "fired"),
        (experiment(0.06, width=0.04), "clear"),  # within twice its error
        (experiment(0.015), "clear"),  # 7 % of the error
        (experiment(0.005, width=0.0, last=0.97), "clear"),  # half a point
        (experiment(0.06, metric="val_loss"), "clear"),  # 7.5 % of a loss of 0.8
        (experiment(0.2, metric="val_loss"), "fired"),
        ({"metric": "val_accuracy"}, "not_applicable"),
    ],
)
def test_what_doubling_must_bring(probe: dict[str, object], expected: str) -> None:
    """Beyond its uncertainty, a tenth of the error, and a point of the score."""
    assert result("data_scarcity", overfit(facts={**SAMPLES, "probe.data_fractions": probe})) == expected


def test_more_data_do_not_help_what_is_not_fit() -> None:
    """Training 0.85, validation 0.8: most of the error is there on the training data."""
    facts = {**SAMPLES, "probe.data_fractions": experiment(0.06)}
    assert result("data_scarcity", overfit(facts=facts, clean_train_accuracy=np.full(N, 0.85))) == "clear"


@pytest.mark.parametrize(("gain", "first"), [(0.03, "overfitting"), (0.08, "data_scarcity")])
def test_the_cause_is_what_would_help_most(gain: float, first: str) -> None:
    """They explain each other: scarcity leads where one doubling closes a third of the gap, which is 0.2."""
    diagnosis = diagnose(overfit(facts={**SAMPLES, "probe.data_fractions": experiment(gain)}), RULES)
    assert diagnosis.findings[0].rule == first
    assert {f.rule for f in diagnosis.findings} == {"overfitting", "data_scarcity"}
    assert diagnosis.findings[1].explained_by == first
