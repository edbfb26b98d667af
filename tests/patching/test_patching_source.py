"""What an edit does not touch stays as it was, byte for byte; text that is not UTF-8 is not touched at all."""

from __future__ import annotations

from pathlib import Path

import libcst as cst
import pytest
from planned import SCRIPT, planned, script

from advisor.errors import ScriptError
from advisor.patching import write_out
from advisor.patching.declined import Declined
from advisor.patching.source import Replacement, Source
from advisor.plan import Plan

PLAN = Plan.of("learning_rate", factor=10.0) + Plan.of("clear_gradients") + Plan.of("batch_norm")


@pytest.mark.parametrize(
    ("encoding", "newline"), [("utf-8", "\n"), ("utf-8", "\r\n"), ("utf-8-sig", "\n"), ("utf-8-sig", "\r\n")]
)
def test_line_ends_tabs_and_umlauts_are_kept(encoding: str, newline: str, tmp_path: Path) -> None:
    """Columns are counted in bytes, new lines end as the others do and begin with the tabs of theirs."""
    tabs = [("        optimizer.zero_grad()\n", "")]
    tabs += [(f"\n{' ' * 4 * depth}{word}", f"\n{chr(9) * depth}{word}") for depth, word in DEPTHS]
    umlaut = ("model = nn.", '"Größe"; model = nn.')
    path = script(tmp_path, *tabs, umlaut, encoding=encoding, newline=newline)
    before = path.read_bytes()
    source, kept = write_out(Source(path, before), PLAN, planned(path, PLAN))
    assert kept == {}
    expected = before.replace(b"lr=0.01", b"lr=0.1").replace(b"Linear(4, 8)", b"Linear(4, 8), nn.BatchNorm1d(8)")
    end = newline.encode()
    backward = b"\t\tloss_fn(model(x), y).backward()"
    assert source.text == expected.replace(backward, b"\t\toptimizer.zero_grad()" + end + backward)


DEPTHS = (
    (1, "for x, y in train_loader"),
    (2, "loss_fn(model(x), y).backward()"),
    (2, "optimizer.step()"),
    (1, "with torch.no_grad()"),
    (2, "for x, y in val_loader"),
    (3, "loss_fn(model(x), y)\n"),
)


def test_text_that_is_not_utf_8_is_an_error() -> None:
    """A declared encoding, or bytes that are none."""
    latin = f"# -*- coding: latin-1 -*-\n# Größe\n{SCRIPT}".encode("latin-1")
    with pytest.raises(ScriptError, match=r"train\.py: expected text in UTF-8, found iso-8859-1; keep the plan"):
        Source(Path("train.py"), latin)
    with pytest.raises(ScriptError, match=r"train\.py: expected text in UTF-8, found other bytes; keep the plan"):
        Source(Path("train.py"), b"x = '\xff'\n")
    with pytest.raises(ScriptError, match=r"train\.py:2: this is not valid Python: .*; run it by itself first"):
        Source(Path("train.py"), b"x = 1\nx = = 2\n")


def test_pieces_of_one_change_do_not_overlap() -> None:
    """Two that want the same text are declined, and so is a result that is no Python."""
    source = Source(Path("train.py"), b"x = 12345\n")
    assert source.changed([Replacement(9, 9, "6"), Replacement(4, 5, "9")]).text == b"x = 923456\n"
    with pytest.raises(Declined, match="two changes touch the same text"):
        source.changed([Replacement(4, 6, "9"), Replacement(5, 7, "9")])
    with pytest.raises(Declined, match="would not be valid Python"):
        source.changed([Replacement(1, 3, " = =")])


def test_one_line_that_holds_more_is_declined() -> None:
    """No line is put between the statements of one."""
    source = Source(Path("train.py"), b"a(); b()\nif c: d()\n")
    calls = list(source.all(cst.Call))
    with pytest.raises(Declined, match="line 2 holds a block on one line"):
        source.statement(calls[2])
    with pytest.raises(Declined, match="line 1 holds more than one statement"):
        source.without(calls[0])
