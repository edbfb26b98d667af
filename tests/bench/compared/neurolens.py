"""neurolens 0.1.1: its training monitor, and the checks of its viewer on what the monitor sent.

    mon = neurolens.monitor(model, optimizer)
    mon.step(step, loss=loss)                  # after optimizer.step()
    mon.log(step, val_loss=..., val_acc=...)   # after each epoch

The checks are in the viewer, a window on a screen. Here its own parser and checks (viewer/protocol.cpp and
training.cpp of the source distribution, unchanged) are compiled without the window, and read the lines that the monitor
sent over its socket. What counts is what the panel would show at the end of the run, in the panel's order.

The check for dead ReLUs belongs to the network view and needs 3 s of its clock: left out.
"""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import tempfile
import threading
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from . import Epoch, Said, named
from .steps import Batch, Steps

NAME = "neurolens"
INSTALL = (
    "pip install neurolens==0.1.1; its checks from source: pip download --no-deps --no-binary :all: neurolens==0.1.1,"
    " unpack it, set NEUROLENS_SOURCE to the folder (needs g++)"
)

RULES = {
    r" IS (NAN|INF) ": "non_finite_loss non_finite_inputs non_finite_gradients unstable_loss",
    r"SPIKED": "learning_rate_too_high exploding_gradients unstable_loss",
    r"DIVERGING": "learning_rate_too_high unstable_loss oscillating_loss missing_zero_grad",
    r"NOT IMPROVED": "slow_convergence underfitting learning_rate_collapsed no_signal learning_rate_too_high",
    r"OVERFITTING": "overfitting data_scarcity",
    r"EXPLODING": "exploding_gradients learning_rate_too_high unscaled_inputs missing_zero_grad",
    r"NO GRADIENT": "vanishing_gradients parameters_without_gradient dead_units bad_initialization",
    r"OVER 5%": "learning_rate_too_high",
    r"BELOW 1E-6": "learning_rate_too_low learning_rate_collapsed slow_convergence excessive_clipping",
}

DRIVER = """
#include "protocol.hpp"
#include <iostream>
int main() {
    State state;
    std::string line, error;
    while (std::getline(std::cin, line)) apply_line(state, line, 0.0, error);
    for (const Alert& alert : find_alerts(state.train)) std::cout << alert.text << "\\n";
}
"""


def version() -> str:
    import neurolens  # noqa: F401  (absent tools are told by the import)

    checks()
    return installed("neurolens")


@functools.cache
def checks() -> Path:
    """The viewer's checks as a program: protocol lines in, alerts out."""
    source = Path(os.environ.get("NEUROLENS_SOURCE", "")) / "viewer"
    if not (source / "training.cpp").is_file():
        raise ImportError("NEUROLENS_SOURCE is not the unpacked source distribution")
    folder = Path(tempfile.mkdtemp(prefix="neurolens-"))
    (folder / "checks.cpp").write_text(DRIVER)
    parts = [str(source / name) for name in ("protocol.cpp", "network.cpp", "training.cpp")]
    command = ["g++", "-std=c++17", "-O1", "-I", str(source), "-o", str(folder / "checks"), str(folder / "checks.cpp")]
    try:
        subprocess.run([*command, *parts], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImportError(f"the checks do not compile: {getattr(error, 'stderr', error)}") from error
    return folder / "checks"


class Watch:
    every = 0.5  # s between sends, the default of `monitor`

    def __init__(self, program: dict[str, Any]) -> None:
        from neurolens.monitor import monitor  # neurolens.monitor() itself works once in a process

        self.received: list[bytes] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.reader = threading.Thread(target=self.receive, daemon=True)
        self.reader.start()
        port = self.server.getsockname()[1]
        self.monitor = monitor(program["model"], program["optimizer"], every=self.every, port=port)
        self.steps = Steps(program, after_step=self.after_step)

    def receive(self) -> None:
        """What the viewer's end of the socket gets."""
        connection, _ = self.server.accept()
        with connection:
            while data := connection.recv(1 << 16):
                self.received.append(data)

    def after_step(self, batch: Batch, step: int) -> None:
        self.monitor.step(step, loss=batch.loss)

    def loop(self, epochs: range) -> range:
        return epochs

    def epoch_end(self, epoch: Epoch) -> None:
        self.monitor.log(self.steps.number, val_loss=epoch.val_loss, val_acc=epoch.val_score)

    def said(self) -> list[Said]:
        self.monitor.viewer.close(timeout=10)
        self.reader.join(timeout=10)
        lines = b"".join(self.received).decode()
        ran = subprocess.run([str(checks())], input=lines, capture_output=True, text=True, check=True)
        return [named(line, RULES) for line in ran.stdout.splitlines()]
