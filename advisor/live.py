"""A script and a store -> the script runs in a child process while its record is shown as it grows.

On a terminal a panel below the script's own output; elsewhere one line an epoch on stderr, the output untouched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from advisor.config import Config
from advisor.diagnosis import Diagnosis, diagnose
from advisor.errors import ScriptError, StoreError
from advisor.evidence import Evidence
from advisor.record import Record, RunInfo
from advisor.rulebook import Rule, load_rules
from advisor.screen import epoch_line, panel
from advisor.store import Store

SHORTEST_PAUSE = 0.25  # s between two looks at the store: the recorder writes once a second
SHARE = 0.02  # of one core that looking may cost: a script on two cores should not notice
BY_SIGNAL = 128  # a shell's exit code of a child that a signal ended: 128 + its number


class Watcher:
    """Follows the newest run of one process in the store. Raises: RuleError at once where a rule is broken."""

    def __init__(self, store: Store, config: Config) -> None:
        self.store = store
        self.pid = 0
        self.began = time.time()
        self.info: RunInfo | None = None
        self.record: Record | None = None
        self.diagnosis: Diagnosis | None = None
        self._config = config
        self._rules: dict[str, Rule] = {
            name: rule for name, rule in load_rules(config.rules_folders).items() if name not in config.disabled
        }
        self._next = 0.0
        self._diagnosed = 0

    def look(self, *, force: bool = False) -> bool:
        """Read the run anew where that is due; True where there is something new. A busy store is tried again later."""
        began = time.monotonic()
        if not force and began < self._next:
            return False
        seen = -1 if self.record is None else self.record.epochs_seen
        try:
            if self.info is None or self.info.status != "running":
                self.info = self._newest() or self.info
            if self.info is not None:
                self.record = self.store.record(self.info.id)
                self.info = self.record.info
        except StoreError:
            self._next = time.monotonic() + SHORTEST_PAUSE
            return False
        if self.record is not None and self.record.epochs_seen != self._diagnosed:
            self._diagnosed = self.record.epochs_seen
            self.diagnosis = diagnose(Evidence(self.record), self._rules, self._config.thresholds)
        now = time.monotonic()
        self._next = now + max(SHORTEST_PAUSE, (now - began) / SHARE)
        return self.record is not None and self.record.epochs_seen != seen

    def _newest(self) -> RunInfo | None:
        mine = [info for info, _ in self.store.run_infos() if info.pid == self.pid and info.started > self.began - 1]
        return mine[-1] if mine else None


def run_script(script: Path, arguments: Sequence[str], *, store: Store, config: Config, console: Console) -> int:
    """Run the script; its exit code. Raises: ScriptError where it ended well and never called `advisor.watch`."""
    _check_writable(store)
    watcher = Watcher(store, config)
    live = console.is_terminal
    joined = live and sys.stderr.isatty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "advisor.script", str(script), *arguments],
        env=_environment(store, unbuffered=live),
        stdout=subprocess.PIPE if live else None,
        stderr=subprocess.STDOUT if joined else None,
    )
    watcher.pid = process.pid
    with _passed_on(process):
        code = _on_terminal(process, watcher, script, console) if live else _in_lines(process, watcher)
    watcher.look(force=True)
    if code == 0 and watcher.info is None:
        raise ScriptError(
            "the script ended without a run",
            context=str(script),
            hint="wrap its epoch loop: for epoch in advisor.watch(range(20), model, optimizer): ...",
        )
    return code if code >= 0 else BY_SIGNAL - code


def _check_writable(store: Store) -> None:
    """Before hours of training, not after. Raises: StoreError. A database on a server says so itself."""
    if store.path is None:
        return
    for path in (store.path, store.path.parent):  # SQLite keeps its journal beside the file
        if not os.access(path, os.W_OK):
            raise StoreError(
                "the store cannot be written",
                context=str(path),
                hint="make it writable, or set ADVISOR_STORE to another",
            )


def _on_terminal(process: subprocess.Popen[bytes], watcher: Watcher, script: Path, console: Console) -> int:
    assert process.stdout is not None  # mypy: a pipe was asked for
    with Live(console=console, transient=True, refresh_per_second=4, vertical_overflow="crop") as screen:
        reader = threading.Thread(target=_scroll, args=(process.stdout, console), daemon=True)
        reader.start()
        while (code := _wait(process)) is None:
            watcher.look()
            screen.update(panel(script.name, watcher.record, watcher.diagnosis, time.time()))
        reader.join()
    return code


def _in_lines(process: subprocess.Popen[bytes], watcher: Watcher) -> int:
    shown: tuple[int, int] = (0, 0)  # run, epochs

    def report() -> None:
        nonlocal shown
        if watcher.record is None:
            return
        run = watcher.record.info.id
        first = shown[1] if run == shown[0] else 0
        for epoch in range(first, watcher.record.epochs_seen):
            print(epoch_line(watcher.record, epoch, time.time()), file=sys.stderr, flush=True)
        shown = run, watcher.record.epochs_seen

    while (code := _wait(process)) is None:
        if watcher.look():
            report()
    watcher.look(force=True)
    report()
    return code


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=SHORTEST_PAUSE)
    except subprocess.TimeoutExpired:
        return None


def _scroll(pipe: IO[bytes], console: Console) -> None:
    """The script's lines above the panel; of a progress bar that rewrites its line, what it came to."""
    for line in pipe:
        text = line.decode("utf-8", errors="replace").rstrip("\r\n").rpartition("\r")[2]
        console.print(Text.from_ansi(text), soft_wrap=True)


def _environment(store: Store, *, unbuffered: bool) -> dict[str, str]:
    """Ours, with the same store even where the script changes its directory; a pipe would hold back what it prints."""
    where = str(store.path) if store.path is not None else store.url
    return {**os.environ, "ADVISOR_STORE": where} | ({"PYTHONUNBUFFERED": "1"} if unbuffered else {})


@contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ctrl-C and SIGTERM are the script's: it completes its record and ends; we only wait for it."""

    def forward(number: int, _: FrameType | None) -> None:
        if not (number == signal.SIGINT and _in_foreground()):  # there the terminal has told the child itself
            process.send_signal(number)

    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
    for known in (signal.SIGINT, signal.SIGTERM):
        before[known] = signal.signal(known, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
