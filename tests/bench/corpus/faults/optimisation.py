"""Faults of the settings: learning rate, momentum, weight decay, number of epochs, batch size."""

from __future__ import annotations

from program import Program, changed, with_data

from .fault import SLOW, WILD, Fault, rate, settings


def _pairs(p: Program) -> None:
    even = len(p.data.x) // 2 * 2  # batch norm takes no batch of one
    with_data(p, x=p.data.x[:even], y=p.data.y[:even])
    changed(p, batch=2)


FAULTS: dict[str, Fault] = {
    "rate x 300": Fault("learning_rate_too_high", rate(300), WILD),
    "rate / 1000": Fault("learning_rate_too_low", rate(1e-3), SLOW),
    "schedule per batch": Fault("learning_rate_collapsed", settings(schedule="exponential", per_batch=True), SLOW),
    "momentum 0.999": Fault(
        "momentum_too_high", settings(optimizer="momentum", momentum=0.999), (*WILD, "learning_rate_too_high")
    ),
    "decay": Fault(
        "over_regularised",
        settings(optimizer="momentum", weight_decay=0.3),
        (*SLOW, "dead_units", "vanishing_gradients"),
    ),
    "two epochs": Fault("too_few_epochs", lambda p: changed(p, epochs=2, lr=p.rate / 4), SLOW),
    "whole batch": Fault("batch_too_large", lambda p: changed(p, batch=len(p.data.x)), SLOW),
    "batch of two": Fault(
        "batch_too_small_for_batchnorm", _pairs, (*WILD, "underfitting"), networks=("norm", "cnn_norm")
    ),
}
