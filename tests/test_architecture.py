"""Read from the imports: the data flow goes one way, what is heavy is where it belongs, core names no leaf."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "advisor"
MOST_LINES = 300  # the design's: when a file wants to be a hub, split it

# From one immutable value to the next. A module imports from its own group and from those above it, never from below.
FLOW: tuple[tuple[str, str], ...] = (
    ("record", "errors processes record snapshot schema database store"),
    ("evidence", "evidence progress loss_inputs metric class_balance"),
    ("rules", "finding source_facts thresholds calibration rulebook"),
    ("diagnosis", "diagnosis states"),
    ("plan", "plan config assignment session call_sites"),
    ("report", "report"),
    (
        "watching",
        "replacing tracing fence taps losses loss_changes sampling recording instruments bridging capture probes "
        "remedies ranks hooks roles training_losses forwards evaluated validations observing probing independent "
        "scores passes loaders ending epochs describing watching",
    ),
    ("trial", "script program overlay moves scan open_files sandbox seeds trial child executors"),
    ("verdict", "verdict"),
    (
        "fixing",
        "budget events ledger experience resuming measured rivals laboratory strategies experiments baseline "
        "confirming screening searching final plan_file fixed fixing",
    ),
    ("patching", "patching"),
    ("users' rules", "recorded partial cases checking examining new_rule"),
    ("command line", "pages screen live listing following rewriting demo demo_script words commands cli __main__"),
)

# Where torch may be imported at all, also inside a function: what touches live objects of a training.
TORCH = {
    "watching": "wraps the loop",
    "observing": "part of watching: hooks",
    "epochs": "part of watching: the end of an epoch",
    "passes": "part of watching: evaluations of our own",
    "taps": "part of watching: torch's own loss functions, backward and loaders",
    "fence": "part of watching: puts random state, modes and buffers back",
    "ranks": "part of watching: the ranks of a distributed run",
    "hooks": "part of watching: torch's hooks",
    "roles": "part of watching: which loader trains",
    "training_losses": "part of watching: every step's loss",
    "forwards": "part of watching: which pass led to a loss",
    "bridging": "part of watching: what stands between a model and its loss",
    "probing": "part of watching: when probes run",
    "validations": "part of watching: what the user's loop validates",
    "evaluated": "part of watching: which of a loop's evaluations are of training samples",
    "describing": "part of watching: checks its arguments",
    "capture": "part of watching: batches for evaluation and probes",
    "recording": "part of watching: copies from the device",
    "independent": "part of watching: validation of our own in trials",
    "tracing": "part of watching: where a script makes its objects",
    "loaders": "part of watching: the loaders of the calling frames",
    "losses": "reads outputs and targets",
    "scores": "adds up outputs and targets",
    "loss_changes": "computes another loss in the place of the loop's",
    "instruments": "live objects -> numbers",
    "probes": "experiments on copies of the model",
    "remedies": "change live objects",
    "trial": "runs the program",
    "child": "tries whether a fork can compute",
    "executors": "preload torch for trials",
    "seeds": "shifts torch's seeds in a trial",
    "recorded": "runs a fixture on one thread",
    "sandbox": "redirects torch.save in a trial",
    "integrations": "other trainers' callbacks",
    "demo_script": "a user's script, shipped to be copied",
}
TEXTUAL = {"report.tui": "the full-screen report"}
LEAVES = {"rule": "rules", "remedy": "advisor/remedies", "probe": "advisor/probes"}
# A leaf's id as a word of core: only where the word means something else.
SAME_WORD = {
    ("diagnosis", "dead_units"): "the series of the record, after which the rule is named",
    ("source_facts", "shuffle"): "the argument of a DataLoader",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name below `advisor`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return {name: tree for name, tree in found.items() if not name.startswith("rules")}


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from nodes(child)


def imports(name: str) -> set[str]:
    """What a module imports, anywhere in it, with the names that it takes from a package."""
    found: set[str] = set()
    for node in nodes(modules()[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: write absolute imports"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(name: str) -> set[str]:
    """The modules of the package that a module imports."""
    return {found.removeprefix("advisor.") for found in imports(name)} & set(modules()) - {name, ""}


def group(name: str) -> int | None:
    """The place of a module in `FLOW`."""
    for place, (_, members) in enumerate(FLOW):
        if name.split(".")[0] in members.split():
            return place
    return None


def within(name: str, places: dict[str, str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def test_every_module_has_its_place_in_the_flow() -> None:
    """A new module says between which values it stands, and the flow names no module twice."""
    assert [name for name in modules() if name and group(name) is None] == []
    named = " ".join(members for _, members in FLOW).split()
    assert len(named) == len(set(named))


def test_the_flow_goes_one_way() -> None:
    """No module imports one that comes later: rules do not know who watches, a report does not know who fixes."""
    backward = [
        f"{name} ({FLOW[here][0]}) imports {other} ({FLOW[there][0]})"
        for name in modules()
        for other in sorted(ours(name))
        if (here := group(name)) is not None and (there := group(other)) is not None and there > here
    ]
    assert backward == []


def test_there_is_no_circle() -> None:
    """The modules can be put in an order in which each imports only earlier ones."""
    order = list(TopologicalSorter({name: ours(name) for name in modules()}).static_order())
    assert set(order) == set(modules())


@pytest.mark.parametrize(
    ("library", "places"),
    [("torch", TORCH), ("torchvision", TORCH), ("textual", TEXTUAL), ("textual_plot", TEXTUAL)],
    ids=["torch", "torchvision", "textual", "textual_plot"],
)
def test_what_is_heavy_stays_where_it_belongs(library: str, places: dict[str, str]) -> None:
    """So a report opens without torch, and a training without textual; not even a function elsewhere imports them."""
    users = [name for name in modules() if any(found.split(".")[0] == library for found in imports(name))]
    assert [name for name in users if not within(name, places)] == []


def test_the_command_line_imports_only_itself_at_first() -> None:
    """`advisor --help` is there at once: what a command needs is imported inside its function."""
    at_once = {
        alias
        for name in modules()
        if name == "cli" or within(name, {"commands": ""})
        for node in modules()[name].body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    others = {str(name) for name in at_once if str(name).split(".")[0] not in sys.stdlib_module_names}
    light = {"typer", "advisor", "advisor.errors", "advisor.script", "advisor.words"}
    assert others == light | {"advisor.commands", "advisor.commands.arguments"}


def test_core_names_no_leaf() -> None:
    """Outside their folders no leaf is imported, no rule, remedy or probe is spelt: they are found by being there."""
    folders = [*LEAVES.values(), "advisor/instruments"]
    stems = {folder: {path.stem for path in (ROOT / folder).glob("[!_]*.py")} for folder in folders}
    words = {stem: kind for kind, folder in LEAVES.items() for stem in stems[folder]}
    imported = {
        f"{folder.removeprefix('advisor/')}.{stem}" for folder in folders for stem in stems[folder] if folder != "rules"
    }
    named, used = [], set()
    for name, tree in modules().items():
        if within(name, dict.fromkeys(("remedies", "probes", "instruments", "patching.edits"), "leaves")):
            continue
        named += [f"{name} imports {leaf}" for leaf in sorted(ours(name) & imported)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in words:
                if (name, node.value) in SAME_WORD:
                    used.add((name, node.value))
                else:
                    named.append(f"{name}:{node.lineno} names the {words[node.value]} {node.value}")
    assert named == []
    assert used == set(SAME_WORD)


def test_no_rule_imports_what_trains_or_shows() -> None:
    """A rule sees numbers: numpy, the values up to the rulebook, and the public names, as a user's own rule does."""
    places = [name for name, _ in FLOW]
    allowed = {"advisor"} | {f"advisor.{name}" for name in modules() if (group(name) or 0) <= places.index("rules")}
    for path in sorted((ROOT / "rules").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                known = name.split(".")[0] in {*sys.stdlib_module_names, "numpy"}
                assert known or name in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("folder", ["advisor", "rules"])
def test_no_file_is_a_hub(folder: str) -> None:
    """A file can be read top to bottom."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert [f"{path.relative_to(ROOT)}: {n} lines" for path, n in lengths.items() if n > MOST_LINES] == []


def test_no_module_bears_the_name_of_a_public_function() -> None:
    """`advisor.watch` is the function, always."""
    import advisor

    assert [name for name in advisor.__all__ if name in modules()] == []
