"""traintools 0.6.2: the quick start of its README, and its tracker of mislabelled examples for classifiers.

Every batch goes through `BatchInspector.inspect` and, before `optimizer.step()`, `GradientHealthMonitor.inspect`; after
it `TraintoolsTracker.step`, with the validation loss after each epoch. `AUMTracker` gets each classifier's logits; an
example's id is its content. Left out are `max_grad_norm`, the user's own clip norm, `GradientConfusionMonitor`, whose
report the tool itself calls descriptive, and `ExampleDynamicsTracker`, which asks much the same as AUM, slower.

A warning counts where a report of the tool is not ok, once for each kind, in the order in which they were first
printed; AUM's summary is read at the end. What it says on batch size and on when to stop is advice: notes.
"""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import Any

from . import Epoch, Said, named
from .steps import Batch, Steps

NAME = "traintools"
INSTALL = "pip install traintools==0.6.2"

RULES = {
    r"inputs.* has non-finite": "non_finite_inputs non_finite_loss",
    r"targets.* has non-finite": "non_finite_inputs non_finite_loss degenerate_labels",
    r"abs max": "unscaled_inputs unscaled_targets outlier_targets",
    r"inputs.* nearly constant": "unscaled_inputs no_signal",
    r"targets.* nearly constant": "degenerate_labels unshuffled_batches class_imbalance",
    r"dominant class": "class_imbalance unshuffled_batches degenerate_labels",
    r"labels outside": "degenerate_labels wrong_loss_for_task",
    r"non-finite gradients": "non_finite_gradients non_finite_loss non_finite_inputs unstable_loss",
    r"appears vanished": "vanishing_gradients dead_units bad_initialization parameters_without_gradient",
    r"is very large": "exploding_gradients learning_rate_too_high unscaled_inputs missing_zero_grad unstable_loss",
    r"ratio is high": "learning_rate_too_high exploding_gradients missing_zero_grad",
    r"ratio is tiny": "learning_rate_too_low slow_convergence learning_rate_collapsed excessive_clipping",
    r"no gradients": "parameters_without_gradient no_training_steps gradients_cleared_before_step",
    r"[Cc]ritical layers": "dead_units saturated_units vanishing_gradients bad_initialization",
    r"low AUM": "label_noise no_signal underfitting",
    r"STOP": "overfitting",
    r"regime=": "",
}


def version() -> str:
    import traintools  # noqa: F401  (absent tools are told by the import)

    return installed("traintools")


class Watch:
    def __init__(self, program: dict[str, Any]) -> None:
        import traintools
        from traintools.callbacks.pytorch import TraintoolsTracker

        self.model, self.optimizer = program["model"], program["optimizer"]
        self.tracker = TraintoolsTracker(self.model, program["loss_fn"])
        self.inspector = traintools.BatchInspector()
        self.health = traintools.GradientHealthMonitor()
        self.aum = traintools.AUMTracker()
        self.classifier = program["task"] == "multiclass"
        self.heard: dict[str, Said] = {}
        self.steps = Steps(
            program, after_loss=self.after_loss, before_step=self.before_step, after_step=self.after_step
        )

    def hear(self, text: str, *, note: bool = False) -> None:
        """Keep the first warning of a kind."""
        kind = next((pattern for pattern in RULES if re.search(pattern, text)), text)
        if kind not in self.heard:
            self.heard[kind] = named(text, RULES, note=note)

    def after_loss(self, batch: Batch, step: int) -> None:
        for warning in self.inspector.inspect(batch.inputs, batch.targets, step=step).warnings:
            self.hear(warning)
        whole = not batch.targets.is_floating_point() and batch.targets.dim() == 1
        if self.classifier and whole and batch.outputs.dim() == 2:
            ids = [hash(row.numpy().tobytes()) for row in batch.inputs.detach()]
            self.aum.update(ids, batch.outputs, batch.targets, step=step)

    def before_step(self, batch: Batch, step: int) -> None:
        for warning in self.health.inspect(self.model, step=step, lr=self.optimizer.param_groups[0]["lr"]).warnings:
            self.hear(warning)

    def after_step(self, batch: Batch, step: int) -> None:
        self.tracker.step(step=step, inputs=batch.inputs, targets=batch.targets)

    def loop(self, epochs: range) -> range:
        return epochs

    def epoch_end(self, epoch: Epoch) -> None:
        decision = self.tracker.step(step=self.steps.number, val_loss=epoch.val_loss)
        if decision is not None and decision.should_stop:
            self.hear(f"STOP: {decision.reason}", note=True)

    def said(self) -> list[Said]:
        for result in self.tracker.plasticity_history.results:
            if result.critical_layers:
                self.hear(f"step {result.step}: critical layers {', '.join(result.critical_layers)}")
        for result in self.tracker.gns_history.results:
            self.hear(f"regime={result.regime}: {result.recommendation}", note=True)
        if self.aum.examples:
            for warning in self.aum.summary().warnings:
                self.hear(warning)
        return list(self.heard.values())
