"""How a loop ends: which way it was left, signals on the way, and what is said when it is over."""

from __future__ import annotations

import atexit
import dis
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

from advisor.diagnosis import Diagnosis
from advisor.errors import in_one_line, installed
from advisor.record import Status
from advisor.recording import Recorder

# Instructions that drop a loop's iterator and cannot raise: of Python 3.11 to 3.13, and POP_ITER of 3.14. Those that
# store into a container or an attribute, and conditional jumps (of a tensor with several values), raise too.
DROPS = re.compile(r"POP_(?!JUMP)|END_|SWAP|RETURN_|(STORE|DELETE)_(FAST|NAME|GLOBAL|DEREF)")


class Pruned(SystemExit):
    """Raised into the loop of a trial that is clearly worse than its rival. Never raised outside of trials."""


class Signals:
    """Whether Ctrl-C came."""

    interrupted = False


@contextmanager
def watched_signals(end: Callable[[], None]) -> Iterator[Signals]:
    """Complete the record on SIGTERM, and tell Ctrl-C from other exceptions; what the signals do stays as it was.

    Only signals whose handlers are the default ones are taken, only in the main thread, and they are given back.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    taken: dict[int, Any] = {}

    def on_terminate(number: int, _: FrameType | None) -> None:
        end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        signals.interrupted = True
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        taken[signal.SIGTERM] = on_terminate
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        taken[signal.SIGINT] = on_interrupt
    before = {number: signal.signal(number, handler) for number, handler in taken.items()}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is taken[number]:
                signal.signal(number, handler)


@contextmanager
def watched_exit(end: Callable[[Status], None]) -> Iterator[None]:
    """Complete the record of a loop whose iterator is still held when the process exits.

    A generator that the script advances by `next` and keeps in a global is closed when the interpreter clears its
    modules: torch aborts the process on tensors that are touched so late.
    """

    def on_exit() -> None:
        end("stopped" if getattr(sys, "last_value", None) is None else "failed")

    atexit.register(on_exit)
    try:
        yield
    finally:
        atexit.unregister(on_exit)


def how_left(frame: FrameType) -> Status:
    """Whether the loop that held a generator was left on purpose (break, return) or by an exception.

    On purpose, the interpreter stands at the instruction that drops the iterator; an exception unwinds from the
    instruction that raised.
    """
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]] if frame.f_lasti >= 0 else ""
    return "stopped" if DROPS.match(instruction) else "failed"


def left(frame: FrameType | None, signals: Signals, recorder: Recorder | None) -> Status:
    """How a loop was left; by an exception: the record says where, and what it was, once it comes up uncaught.

    The loop cannot see it: an iterator that is let go is told nothing. A notebook catches it, and the place remains.
    frame: None where the interpreter itself let it go, at its exit; recorder: None in a trial, whose executor is told
    """
    global _left
    if frame is None:
        return "stopped"
    status: Status = "interrupted" if signals.interrupted else how_left(frame)
    if status != "failed" or recorder is None:
        return status
    own: FrameType | None = frame
    while own is not None and own.f_code.co_filename.startswith(installed()):  # a bar's, such as tqdm's
        own = own.f_back
    own = own or frame
    where = f"{Path(own.f_code.co_filename).name}:{own.f_lineno}"
    recorder.info = recorder.info.model_copy(update={"error": f"left by an exception ({where})"})
    if _left is None:
        sys.excepthook = partial(_uncaught, sys.excepthook)
    _left = recorder, own.f_code, own.f_lineno
    return status


_left: tuple[Recorder, CodeType, int] | None = None  # the last loop that an exception has left


def _uncaught(
    before: Callable[..., object], kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """In the place of `sys.excepthook`: an exception that went through the loop's line is the one that left it."""
    try:
        if _left is not None:
            recorder, code, line = _left
            if any(frame.f_code is code and number == line for frame, number in traceback.walk_tb(trace)):
                recorder.info = recorder.info.model_copy(update={"error": in_one_line(error.with_traceback(trace))})
                recorder.flush(force=True)
                if recorder.store is not None:
                    recorder.store.close()
    except Exception as ours:  # noqa: BLE001  the fence: the user's exception is what counts
        recorder.problem("excepthook", ours)
    before(kind, error, trace)


def farewell(recorder: Recorder, diagnosis: Diagnosis | None, *, quiet: bool) -> None:
    """Print the summary; where the record is not in the store that was asked for, say where, and how to see it."""
    if recorder.warning or recorder.moved:
        try:
            place = recorder.rescue() or (recorder.store and recorder.store.path)
            where = f"this run is in another store; see it with: ADVISOR_STORE={place} advisor report"
        except Exception as error:  # noqa: BLE001  the fence: what cannot be saved must not fail the training
            where = f"this run's record is lost: {error}"
        print(f"advisor: {recorder.warning or recorder.moved}\nadvisor: {where}", file=sys.stderr)
    if quiet or diagnosis is None:
        return
    try:
        from advisor.report.text import summary

        print(summary(recorder.record(), diagnosis))
    except Exception as error:  # noqa: BLE001  the fence: a summary that fails must not fail the training
        print(f"advisor: the summary failed ({type(error).__name__}: {error}); see `advisor report`", file=sys.stderr)
