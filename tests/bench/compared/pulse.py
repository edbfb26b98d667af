"""pulseml 1.3.14: the monitor in stream mode, its detectors read after the run, without its language-model agent.

As its docs/streaming-keras.md says for numbers that no local variable of the script holds:

    monitor = auto_track(mode="stream")
    monitor.observe("val_loss", value, step=epoch)      # and train_loss, accuracy, lr, weight_norm, grad_norm
    brain = Brain(directory); brain.poll_once()
    for _ in range(3): brain.ingest([])                 # its confirmations, "as the live loop does"
    brain.engine.current()

The monitor also samples the loop's local variables by itself. Findings stand in the tool's own order; its "info" level
is counted as a note. `mllint`, which reads source, is left out: the two variants of a program are one source. Telemetry
is off and the spool is in the run's scratch folder. The brain is a process of its own in the documentation, so its time
is not counted.
"""

from __future__ import annotations

import os
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import torch

from . import Epoch, Said
from .steps import Batch, Steps

NAME = "pulseml"
INSTALL = "pip install pulseml==1.3.14"
EVALUATIONS = 3  # the document's own number

# From the `check` of a finding. "loss" findings about validation and training alike.
RULES = {
    "nonfinite": "non_finite_loss non_finite_inputs non_finite_gradients unstable_loss",
    "tensor_nonfinite": "non_finite_loss non_finite_inputs non_finite_gradients unstable_loss",
    "overfitting": "overfitting data_scarcity",
    "widening_gap": "overfitting data_scarcity",
    "val_drift": "overfitting train_val_mismatch",
    "val_regression": "overfitting train_val_mismatch",
    "divergence": "learning_rate_too_high unstable_loss missing_zero_grad overfitting",
    "progress_lost": "learning_rate_too_high unstable_loss overfitting",
    "score_regression": "learning_rate_too_high unstable_loss overfitting",
    "loss_spike": "learning_rate_too_high unstable_loss exploding_gradients",
    "oscillation": "oscillating_loss learning_rate_too_high batch_too_small_for_batchnorm",
    "norm_explosion": "exploding_gradients learning_rate_too_high missing_zero_grad",
    "norm_growth": "exploding_gradients missing_zero_grad",
    "tensor_norm_explosion": "exploding_gradients learning_rate_too_high",
    "norm_collapse": "vanishing_gradients dead_units bad_initialization over_regularised",
    "chance_level": "no_signal bad_initialization dead_units underfitting unscaled_inputs",
    "never_learned": "learning_rate_too_low slow_convergence no_signal bad_initialization dead_units underfitting"
    " parameters_without_gradient learning_rate_collapsed",
    "plateau": "learning_rate_too_low slow_convergence learning_rate_collapsed underfitting",
    "stagnation": "learning_rate_too_low slow_convergence learning_rate_collapsed underfitting",
    "metric_stagnation": "learning_rate_too_low slow_convergence underfitting no_signal class_imbalance",
    "metric_not_improving": "wrong_loss_for_task class_imbalance",
    "frozen": "dead_units bad_initialization vanishing_gradients parameters_without_gradient class_imbalance"
    " learning_rate_collapsed parameters_not_optimized",
    "lr_jump": "learning_rate_collapsed",
    "eval_unstable": "validating_in_train_mode",
    "identical_series": "train_val_leakage",
    "suspiciously_perfect": "target_leakage train_val_leakage",
    "repeating": "unshuffled_batches graph_kept_alive",
    "periodic": "unshuffled_batches",
    "pair_drift": "overfitting train_val_mismatch",
    "objective_gamed": "wrong_loss_for_task",
    "memory_growth": "graph_kept_alive",
    "slowing_down": "graph_kept_alive",
    "tensor_all_zeros": "bad_initialization dead_units",
}


def version() -> str:
    import pulse.pulse_brain  # noqa: F401  (absent tools are told by the import)

    return installed("pulseml")


class Watch:
    def __init__(self, program: dict[str, Any]) -> None:
        scratch = str(Path.cwd() / "pulse")
        os.environ.update(PULSE_TELEMETRY="off", PULSE_HOME=scratch, PULSE_STREAM_DIR=scratch)
        from pulse import auto_track

        self.monitor = auto_track(mode="stream")
        self.model, self.optimizer = program["model"], program["optimizer"]
        self.score = "r2" if program["task"] in ("regression", "recon") else "accuracy"
        self.grad_norm = 0.0
        Steps(program, before_step=self.before_step)

    def before_step(self, batch: Batch, step: int) -> None:
        if step % 50 == 0:  # "often enough to see, rare enough to be free"
            self.grad_norm = norm(p.grad for p in self.model.parameters() if p.grad is not None)

    def loop(self, epochs: range) -> range:
        return epochs

    def epoch_end(self, epoch: Epoch) -> None:
        for name, value in (
            ("train_loss", epoch.train_loss),
            ("val_loss", epoch.val_loss),
            (f"train_{self.score}", epoch.train_score),
            (f"val_{self.score}", epoch.val_score),
            ("lr", self.optimizer.param_groups[0]["lr"]),
            ("weight_norm", norm(self.model.parameters())),
            ("grad_norm", self.grad_norm),
        ):
            self.monitor.observe(name, value, step=epoch.number)

    def said(self) -> list[Said]:
        from pulse import shutdown
        from pulse.pulse_brain import Brain

        shutdown()
        self.monitor.close()
        brain = Brain(self.monitor.directory)
        brain.poll_once()
        for _ in range(EVALUATIONS):
            brain.ingest([])
        return [
            Said(
                f"{finding.check}: {finding.message}",
                frozenset(RULES.get(finding.check, "").split()),
                note=finding.severity == "info",
            )
            for finding in brain.engine.current()
        ]


def norm(tensors: Any) -> float:
    """The Euclidean norm over all elements of all tensors."""
    with torch.no_grad():
        parts = [tensor.detach().norm() for tensor in tensors]
        return float(torch.stack(parts).norm()) if parts else 0.0
