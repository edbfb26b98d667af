"""One program trained under one tool, in a child forked for it: in goes a program of the bench, out comes a `Run`."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from . import Epoch, Said

FORK = multiprocessing.get_context("fork")


@dataclass
class Run:
    """What came of one training."""

    case: str
    variant: str  # faulty, fixed or healthy
    tool: str
    said: list[Said] = field(default_factory=list)
    seconds: float | None = None  # from before the tool is attached to the end of the last epoch
    ratio: float | None = None  # to the seconds without any tool
    crash: str = ""
    verdict: str = ""


def apart(run: Run, limit: int, arguments: tuple[Any, ...]) -> Run:
    """Fill in a run from `train(*arguments)` in a child, which is ended after `limit` seconds.

    What the child imported is imported here for those to come: a user pays an import once, not at every training.
    """
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=child, args=(theirs, arguments))
    process.start()
    theirs.close()
    try:
        answer = ours.recv() if ours.poll(limit) else f"ended after {limit} s"
    except EOFError:
        answer = "the process died"
    process.join(timeout=5)  # s; it has sent its answer or is past its time
    if process.is_alive():
        process.kill()
        process.join()
    if isinstance(answer, str):
        run.crash = answer
        return run
    run.said, run.seconds, run.crash, imported = answer
    for name in imported:
        with contextlib.suppress(Exception):  # some are no files, such as a rule that was loaded by its path
            importlib.import_module(name)
    return run


def child(answer: Any, arguments: tuple[Any, ...]) -> None:
    """The body of a fork: train in a scratch folder, silently, and send back what came of it."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.chdir(scratch)
        known = set(sys.modules)
        try:
            answer.send((*train(*arguments), sorted(set(sys.modules) - known)))
        except Exception as error:  # noqa: BLE001  whatever a tool raises is its crash
            answer.send(repr(error))
        os.chdir("/")
    os._exit(0)  # a tool's threads and exit handlers end here


def train(bench: Any, case: Any, seed: int, variant: str, adapter: Any) -> tuple[list[Said], float | None, str]:
    """Run a program to its last epoch as the bench does: what the tool said, the seconds up to there, and its crash.

    Where a tool raises into the loop the training ends, as it would for the user, who has read what it said until then.
    """
    loops, fixed = bench.common(case), variant == "fixed"
    loops.seed_all(seed)
    program = case.module.build(seed, fixed)
    program.setdefault("scheduler", None)
    program["measure"] = case.measure
    train_one_epoch = getattr(case.module, "train_one_epoch", None)
    validate = getattr(case.module, "validate", None)

    began = time.perf_counter()
    watch = adapter.Watch(program) if adapter else None
    try:
        for number in watch.loop(range(program["epochs"])) if watch else range(program["epochs"]):
            program["epoch"] = number
            trained = train_one_epoch(program, fixed) if train_one_epoch else loops.plain_epoch(program)
            validated = validate(program, fixed) if validate else loops.clean_eval(program, program["val_loader"])
            if watch:
                watch.epoch_end(Epoch(number, *trained, *validated))
    except Exception as error:  # noqa: BLE001  whatever a tool raises is its crash
        return (watch.said() if watch else []), None, repr(error)
    seconds = time.perf_counter() - began
    return (watch.said() if watch else []), seconds, ""
