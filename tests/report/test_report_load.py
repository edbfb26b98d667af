"""`load_report`: what is shown by default, what is refused, and that it opens without the heavy libraries."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from built import diagnosis, info, not_enough, overfitted, session

import advisor
from advisor.errors import AdvisorError, StoreError
from advisor.record import Record, Sample
from advisor.report import RunReport, SessionReport, load_report
from advisor.session import FixSession
from advisor.store import Store

HEAVY = ("torch", "pandas", "scipy", "sklearn", "textual")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "advisor.db"))


def keep(store: Store, record: Record, document: str | None = None, session: int | None = None) -> int:
    """Write a record as `watch` would; its id."""
    made = record.info.model_copy(update={"session": session})
    number = store.add_run(made)
    rows = [
        Sample(s.name, s.phase, int(step), int(epoch), values)
        for s in record.series.values()
        for step, epoch, values in zip(s.steps, s.epochs, s.values, strict=True)
    ]
    axes = {s.name: s.axis for s in record.series.values()}
    store.write(made.model_copy(update={"id": number}), rows, new_axes=axes, new_facts=record.facts, diagnosis=document)
    return number


def printed(code: str) -> str:
    """What a fresh interpreter prints; it starts where advisor lies, installed or not."""
    where = Path(advisor.__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=where).stdout


def test_an_empty_store_says_what_to_do() -> None:
    """Nothing to report is an error with the next move."""
    with pytest.raises(StoreError, match=r"the store is empty; watch a run first: `advisor run train.py`"):
        load_report(Store("sqlite://"))


def test_a_run_comes_back_with_its_diagnosis(store: Store) -> None:
    """The stored diagnosis is shown as it was; no rule runs again."""
    number = keep(store, overfitted(), diagnosis().model_dump_json())
    report = load_report(store)
    assert isinstance(report, RunReport)
    assert number == report.record.info.id
    assert diagnosis() == report.diagnosis
    assert overfitted().series["val_loss"].values.tolist() == report.record.series["val_loss"].values.tolist()


def test_a_run_without_a_diagnosis_is_a_report(store: Store) -> None:
    """A run that was killed before it was diagnosed can be looked at."""
    keep(store, Record(info()))
    report = load_report(store)
    assert isinstance(report, RunReport)
    assert report.diagnosis is None


def test_a_session_brings_its_runs(store: Store) -> None:
    """The records of the baseline and of the accepted plan, whatever their ids."""
    first = keep(store, overfitted(), session=1)
    second = keep(store, overfitted(gain=0.08), session=1)
    keep(store, overfitted(), session=1)  # of a plan that was not kept
    made = session()
    trials = tuple(t.model_copy(update={"runs": {0: (first,), 1: (second,)}.get(t.number, ())}) for t in made.trials)
    number = store.save_session(made.model_copy(update={"trials": trials}).model_dump_json(), "finished")
    report = load_report(store, session=number)
    assert isinstance(report, SessionReport)
    assert number == report.session.id
    assert [first] == [record.info.id for record in report.baseline]
    assert [second] == [record.info.id for record in report.accepted]
    assert session().diagnosis == report.diagnosis


def test_the_newest_is_shown(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default what was written last, a run or a session; a run of a session is not one of its own."""
    monkeypatch.setattr("advisor.store.time.time", iter((1.0, 2.0, 3.0, 4.0, 5.0, 6.0)).__next__)
    keep(store, overfitted(), not_enough().model_dump_json())
    store.save_session(FixSession(name="fixed.py").model_dump_json(), "running")
    keep(store, overfitted(), session=1)
    report = load_report(store)
    assert isinstance(report, SessionReport)
    assert "fixed.py" == report.session.name
    assert isinstance(load_report(store, run=1), RunReport)


def test_unknown_ids_and_two_at_once_are_refused(store: Store) -> None:
    """Each with the ids that exist, or the next move."""
    store.save_session(session().model_dump_json(), "finished")
    with pytest.raises(StoreError, match="there is no run 7"):
        load_report(store, run=7)
    with pytest.raises(StoreError, match="there is no session 7; `advisor runs` lists them"):
        load_report(store, session=7)
    with pytest.raises(AdvisorError, match="expected a run or a session, found both"):
        load_report(store, run=1, session=1)


def test_a_document_of_another_version_is_named(store: Store) -> None:
    """A session that cannot be read says which field, and what to do."""
    store.save_session('{"trials": 3}', "finished")
    with pytest.raises(StoreError, match=r"session 1: the document cannot be read: trials: .*run it again with this"):
        load_report(store)


def test_text_and_json_open_without_heavy_libraries(tmp_path: Path) -> None:
    """Loading a report and rendering it imports none of torch, pandas, scipy, scikit-learn and Textual."""
    path = str(tmp_path / "advisor.db")
    keep(Store(path), overfitted(), diagnosis().model_dump_json())
    code = (
        "import sys\n"
        "from advisor.store import Store\n"
        "from advisor.report import load_report\n"
        "from advisor.report.text import render_text, summary\n"
        "from advisor.report.json import render_json\n"
        f"report = load_report(Store({path!r}))\n"
        "render_text(report); render_json(report); summary(report.record, report.diagnosis)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert "[]\n" == printed(code)


def test_the_screen_opens_without_torch() -> None:
    """The screen needs Textual and numpy, and no more of the heavy libraries."""
    code = f"import sys, advisor.report.tui\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    assert "['textual']\n" == printed(code)
