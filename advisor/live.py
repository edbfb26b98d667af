"""A script and a store -> the script runs in a child process while its record is shown as it grows.

On a terminal a panel below the script's own output; elsewhere one line an epoch on stderr, and one where a finding is
raised or cleared, the output untouched.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from advisor.config import Config, rules_in_force
from advisor.diagnosis import Diagnosis, diagnose
from advisor.errors import ScriptError, StoreError
from advisor.evidence import Evidence
from advisor.record import LAUNCHER, Record, RunInfo
from advisor.screen import epoch_line, news_line, panel
from advisor.states import History, State, news
from advisor.store import Store

SHORTEST_PAUSE = 0.25  # s between two looks at the store: the recorder writes once a second
SHARE = 0.02  # of one core that looking may cost: a script on two cores should not notice
BY_SIGNAL = 128  # a shell's exit code of a child that a signal ended: 128 + its number


class Watcher:
    """Follows the newest run of one process in the store. Raises: AdvisorError at once for broken rules or settings.

    history: what its diagnoses found, as states; news: states raised or cleared that nobody has shown yet
    """

    def __init__(self, store: Store, config: Config) -> None:
        self.store = store
        self.pid = 0
        self.began = time.time()
        self.info: RunInfo | None = None
        self.record: Record | None = None
        self.diagnosis: Diagnosis | None = None
        self.history = History()
        self.news: list[State] = []
        self._config = config
        self._rules = rules_in_force(config)
        self._next = 0.0
        self._diagnosed: tuple[int, ...] = ()

    def look(self, *, force: bool = False) -> bool:
        """Read the run anew where that is due; True where there is something new. A busy store is tried again later."""
        began = time.monotonic()
        if not force and began < self._next:
            return False
        seen = -1 if self.record is None else self.record.epochs_seen
        try:
            if self.info is None or self.info.status != "running":
                self._turn_to(self._newest())
            if self.info is not None:
                self.record = self.store.record(self.info.id)
                self.info = self.record.info
        except StoreError:
            self._next = time.monotonic() + SHORTEST_PAUSE
            return False
        if self.record is not None and self.record.info.status == "running":
            self._diagnose(self.record)
        now = time.monotonic()
        self._next = now + max(SHORTEST_PAUSE, (now - began) / SHARE)
        return self.record is not None and self.record.epochs_seen != seen

    def finish(self) -> None:
        """The run is over: its diagnosis, which it made itself, also says since when this screen said it."""
        record = self.record
        if record is None or record.info.status == "running" or not self.history.standing:
            return
        with suppress(StoreError):  # a date is missing then, and nothing else
            made = self.store.diagnosis(record.info.id)
            if made is not None:
                dated = self.history.dated(Diagnosis.model_validate_json(made))
                self.store.write(record.info, problems=record.problems, diagnosis=dated.model_dump_json())

    def _turn_to(self, newest: RunInfo | None) -> None:
        """The next run of a script that has several."""
        if newest is None or (self.info is not None and newest.id == self.info.id):
            return
        self.finish()
        self.info, self.record, self.diagnosis, self.history = newest, None, None, History()

    def _diagnose(self, record: Record) -> None:
        """Where there is something new: an epoch, a fact, or a loss that is no number."""
        losses = record.series.get("step_loss")
        broken = losses is not None and len(losses.steps) > 0 and not math.isfinite(losses.values[-1, 0])
        position = (record.info.id, record.epochs_seen, len(record.facts), int(broken))
        if position == self._diagnosed:
            return
        self._diagnosed = position
        self.diagnosis = diagnose(Evidence(record), self._rules, self._config.thresholds)
        before = self.history
        self.history = before.after(self.diagnosis, record.epochs_seen - 1, self._rules)
        self.news += news(before, self.history)

    def _newest(self) -> RunInfo | None:
        """Of the script's process, or of one that the script has started, such as rank 0 of a distributed run."""
        found = [info for info, _ in self.store.run_infos() if info.started > self.began - 1]
        mine = [info for info in found if info.pid == self.pid or info.launcher == os.getpid()]
        return mine[-1] if mine else None


def run_script(script: Path, arguments: Sequence[str], *, store: Store, config: Config, console: Console) -> int:
    """Run the script; its exit code. Raises: ScriptError where it ended well and never called `advisor.watch`."""
    store.check_writable()
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
    watcher.finish()
    if code == 0 and watcher.info is None:
        store.check_writable()  # where it is not, the run went elsewhere, and the script has said so
        raise ScriptError(
            "the script ended without a run",
            context=str(script),
            hint="wrap its epoch loop: for epoch in advisor.watch(range(20), model, optimizer): ...",
        )
    return code if code >= 0 else BY_SIGNAL - code


def _on_terminal(process: subprocess.Popen[bytes], watcher: Watcher, script: Path, console: Console) -> int:
    assert process.stdout is not None  # mypy: a pipe was asked for
    with Live(console=console, transient=True, refresh_per_second=4, vertical_overflow="crop") as screen:
        reader = threading.Thread(target=_scroll, args=(process.stdout, console), daemon=True)
        reader.start()
        while (code := _wait(process)) is None:
            watcher.look()
            screen.update(panel(script.name, watcher.record, watcher.diagnosis, watcher.history, time.time()))
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
        for state in watcher.news:
            print(news_line(state), file=sys.stderr, flush=True)
        watcher.news.clear()

    while (code := _wait(process)) is None:
        if watcher.look() or watcher.news:
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
        # `soft_wrap=True` would also cut what the panel has wrapped; a Text outside of a group forgets how it wraps.
        console.print(Group(Text.from_ansi(text, no_wrap=True, overflow="ignore")), crop=False)


def _environment(store: Store, *, unbuffered: bool) -> dict[str, str]:
    """Ours, with the same store even where the script changes its directory; a pipe would hold back what it prints."""
    where = str(store.path) if store.path is not None else store.url
    ours = {"ADVISOR_STORE": where, LAUNCHER: str(os.getpid())}
    return {**os.environ, **ours} | ({"PYTHONUNBUFFERED": "1"} if unbuffered else {})


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
