"""What `advisor run` says of a run while it grows: a finding is raised and cleared, and dated in the diagnosis."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from advisor.config import Config
from advisor.diagnosis import Diagnosis
from advisor.finding import Finding
from advisor.live import Watcher
from advisor.record import RunInfo, Sample
from advisor.store import Store

RULE = '''"""The level is above a half.

## What it does
## Why it hurts
## Example
## When it is wrong
## References
"""
from advisor import Finding, rule

@rule(kind="fit", needs=["level"], at_once={at_once})
def level_too_high(run):
    level = run.curve("level").last
    return Finding(message=f"The level is {{level}}.", numbers=(), confidence=0.9) if level > 0.5 else None
'''


class Followed:
    """A run that is written an epoch at a time, and looked at after each."""

    def __init__(self, folder: Path, *, at_once: bool = False) -> None:
        (folder / "level_too_high.py").write_text(RULE.format(at_once=at_once))
        self.store = Store(str(folder / "advisor.db"))
        self.watcher = Watcher(self.store, Config(rules_folders=(folder,)))
        self.watcher.pid, self.watcher.began = 1, 0.0
        self.begin()

    def begin(self) -> None:
        info = RunInfo(pid=1, started=1.0, epochs=10)
        self.info = info.model_copy(update={"id": self.store.add_run(info)})
        self.store.write(self.info, new_axes={"level": ("",), "train_loss": ("",)})
        self.epoch = 0

    def look(self, level: float | None) -> list[str]:
        """What is news after an epoch with this level; None for a look at a run that did not move on."""
        if level is not None:
            rows = [
                Sample(name, phase, self.epoch, self.epoch, np.array([value], dtype=np.float32))
                for name, phase, value in (("train_loss", "train", 1 / (1 + self.epoch)), ("level", "log", level))
            ]
            self.store.write(self.info, rows)  # type: ignore[arg-type]  # phases
            self.epoch += 1
        self.watcher.look(force=True)
        found = [state for state in self.watcher.news if state.rule == "level_too_high"]
        self.watcher.news.clear()
        return ["raised" if state.stands else "cleared" for state in found]

    def end(self, *rules: str) -> None:
        """The run ends with a diagnosis of its own."""
        self.info = self.info.model_copy(update={"status": "finished"})
        findings = tuple(Finding(message="It is 1.", numbers=(), confidence=0.9, rule=rule) for rule in rules)
        made = Diagnosis(status="problems", findings=findings)
        self.store.write(self.info, problems=["one"], diagnosis=made.model_dump_json())

    def dates(self, run: int) -> dict[str, int | None]:
        """When the stored diagnosis says that its findings were raised."""
        text = self.store.diagnosis(run)
        assert text is not None
        return {finding.rule: finding.raised for finding in Diagnosis.model_validate_json(text).findings}


def test_a_finding_is_raised_on_new_data_and_cleared(tmp_path: Path) -> None:
    """By the second epoch that shows it; looks between two ends of epochs confirm nothing."""
    run = Followed(tmp_path)
    assert [run.look(level) for level in (0.9, None, None)] == [[], [], []]
    assert [run.look(level) for level in (0.9, None, 0.9, 0.1, None, 0.1)] == [["raised"], [], [], [], [], ["cleared"]]


def test_what_cannot_be_taken_back_is_raised_at_the_first_look(tmp_path: Path) -> None:
    """Without waiting for a second epoch."""
    assert Followed(tmp_path, at_once=True).look(0.9) == ["raised"]


def test_the_final_diagnosis_says_since_when_the_screen_said_it(tmp_path: Path) -> None:
    """The run's own diagnosis stays as it is but for the dates; the record keeps its problems."""
    run = Followed(tmp_path)
    for _ in range(3):
        run.look(0.9)
    run.end("level_too_high", "another")
    run.watcher.look(force=True)
    run.watcher.finish()
    assert run.dates(run.info.id) == {"level_too_high": 1, "another": None}
    assert run.store.record(run.info.id).problems == ("one",)
    assert run.store.record(run.info.id).info.status == "finished"


def test_a_script_with_several_runs(tmp_path: Path) -> None:
    """Each has states of its own, and its own dates."""
    run = Followed(tmp_path)
    first = run.info.id
    for _ in range(2):
        run.look(0.9)
    run.end("level_too_high")
    run.watcher.look(force=True)
    run.begin()
    assert [run.look(0.9) for _ in range(2)] == [[], ["raised"]]
    assert run.dates(first) == {"level_too_high": 1}


def test_a_run_that_never_said_its_end_is_not_touched(tmp_path: Path) -> None:
    """A killed script left a running record: there is no diagnosis to date."""
    run = Followed(tmp_path)
    for _ in range(2):
        run.look(0.9)
    run.watcher.finish()
    assert run.store.diagnosis(run.info.id) is None
    assert run.store.record(run.info.id).info.status == "running"
