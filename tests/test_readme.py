"""README is run: how each block is treated stands in its fence, and every command of its table works.

bash ci          a line of `.ci/run`, which runs it in a fresh environment
python loop      run with a model, an optimizer, loaders and an accepted plan at hand
python fix       run with a training function at hand
toml settings    read as a pyproject.toml
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from advisor import cli
from advisor.config import load_config
from advisor.plan import Plan
from advisor.report.json import Document
from advisor.rulebook import load_rules
from advisor.store import Store

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KINDS = ("bash ci", "python loop", "python fix", "toml settings")
BLOCKS = re.findall(r"^```([^\n]+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\| `(advisor [^`]+)` \|", README, flags=re.MULTILINE)
OBJECTS = """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset
    import advisor

    torch.manual_seed(0)
    x = torch.randn(64, 4)
    data = TensorDataset(x, (x.sum(1) > 0).long())
    train_loader, val_loader = DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=64)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    loss_fn = nn.CrossEntropyLoss()
"""
LOOP = """
    for _ in advisor.watch(range(8), model, optimizer, loss_fn, train=train_loader, val=val_loader):
        for x, y in train_loader:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()
"""
SCRIPT = dedent(OBJECTS) + "torch.set_num_threads(1)\n" + dedent(LOOP)
FUNCTION = f"import advisor\n\ndef train():{OBJECTS}{LOOP}"


def blocks(kind: str) -> list[str]:
    return [text for found, text in BLOCKS if found == kind]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a short script, a plan and a store."""
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADVISOR_STORE", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def test_every_block_says_how_it_is_run() -> None:
    """No block is only to be looked at."""
    assert [kind for kind, _ in BLOCKS if kind not in KINDS] == []
    assert {kind for kind, _ in BLOCKS} == set(KINDS)
    assert README.count("```") == 2 * len(BLOCKS)


def test_the_commands_of_the_setup_are_run_by_ci() -> None:
    """`.ci/run` has them word for word."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for block in blocks("bash ci") for line in block.splitlines() if line not in lines] == []


@pytest.mark.parametrize("block", blocks("python loop"), ids=lambda block: block.splitlines()[-1].strip())
def test_loops(block: str, folder: Path) -> None:
    """A loop runs to its end and leaves a record."""
    Plan.of("weight_decay", weight_decay=0.01).save(folder / "advisor-plan.toml")
    exec(compile(dedent(OBJECTS) + block, "README.md", "exec"), {})
    ((info, _),) = Store().run_infos()
    assert info.status == "finished"
    assert Store().record(info.id).epochs_seen in (0, 20)  # the short form of the loop trains nothing


def test_fix_in_a_notebook(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines for a notebook diagnose a function, and say what was accepted."""
    (block,) = blocks("python fix")
    names: dict[str, object] = {}
    exec(compile(FUNCTION + block, "README.md", "exec"), names)
    (document,) = Store().session_documents()
    assert document[1] == "finished"
    assert capsys.readouterr().out.splitlines()[-1] == str(names["found"].plan)  # type: ignore[attr-defined]
    assert folder.exists()


def test_the_settings_are_settings(folder: Path) -> None:
    """They are read, and name thresholds and rules that exist."""
    (block,) = blocks("toml settings")
    (folder / "pyproject.toml").write_text(block)
    config = load_config(folder)
    rules = load_rules()
    assert set(config.disabled) <= set(rules)
    for rule, values in config.thresholds.items():
        assert set(values) <= {threshold.name for threshold in rules[rule].thresholds}


def test_every_command_of_the_table_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In their order, on a short script; the demo is a line of `.ci/run`."""
    names = ["run", "fix", "apply", "report", "runs", "explain", "new-rule", "check-rules", "demo"]
    assert [command.split()[1] for command in COMMANDS] == names
    for command in COMMANDS[:-1]:
        if "apply" in command:  # what the session above found, if anything, is not the point here
            Plan.of("weight_decay", weight_decay=0.01).save(folder / "advisor-plan.toml")
        with pytest.raises(SystemExit, match="0"):
            cli.main(command.split()[1:])
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        cli.main(["report", "--json"])
    assert Document.model_validate_json(capsys.readouterr().out).kind == "session"
    assert folder.exists()


def test_every_link_leads_to_a_file() -> None:
    """Pictures and examples are where README says."""
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
