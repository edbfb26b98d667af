"""Other tools on the bench, beside advisor: who names the fault, who accuses a healthy run, and what it costs.

    python tests/bench/compare.py --bench ../shared/bench [names] [--seeds 0] [--tools pulseml] [--markdown FILE]

Every program of the bench is trained in its faulty and its fixed variant, or as the healthy control that it is, under
each tool as its documentation says (tests/bench/compared/ has one file a tool) and without any. Each training is a
child process, so that no tool meets what another left behind; one that takes more than `--limit` seconds is ended and
is a crash. Tools that are not importable are named with the way to install them, and left out.

What the columns count:

    named first       faulty runs: the first finding names the fault that labels.toml gives (strict)
    named at all      faulty runs: some finding names it, or one that labels.toml also accepts
    said something    faulty runs with a finding
    healthy accused   healthy runs with a finding
    fixed accused     repaired runs with a finding
    crashes           runs that raised, hung or were ended, of all runs; what was said before counts
    overhead          median over all runs of training time with the tool / without; reading the result out is not timed

A finding names the rules that the adapter's table gives its words; several rules are several chances. A note (advice on
batch size, "info") can name a fault, and is no finding in "said something" and "accused".
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from compared.apart import Run, apart

ADAPTERS = {
    "advisor": "ours",
    "pulseml": "pulse",
    "neurolens": "neurolens",
    "neurolens-often": "neurolens_often",
    "traintools": "traintools",
    "torch-lr-finder": "lr_finder",
}
COLUMNS = "named first,named at all,said something,healthy accused,fixed accused,crashes,overhead"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="programs, or prefixes of their names; all where absent")
    parser.add_argument("--bench", type=Path, required=True, help="the folder of the bench")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tools", nargs="+", choices=ADAPTERS, default=list(ADAPTERS))
    parser.add_argument("--limit", type=int, default=120, help="seconds for one training before it counts as a crash")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.bench.resolve()
    bench = load_bench(folder)
    cases = bench.find_cases(folder / "cases", folder / "labels.toml", options.names)
    tools = available(options.tools)

    if not tools:
        raise SystemExit("none of the tools is here")

    runs: list[Run] = []
    for case in cases:
        case.module.build(0, False)  # reads the data sets and imports what they need, once
        for seed in options.seeds:
            for variant in ("faulty", "fixed") if case.label else ("healthy",):
                runs += side_by_side(bench, case, seed, variant, tools, options.limit)
    rows = [
        row(f"{tool.NAME} {version}", [run for run in runs if run.tool == name])
        for name, (tool, version) in tools.items()
    ]
    printed = table(rows)
    print(printed)
    if options.markdown:
        options.markdown.write_text(printed + "\n")


def side_by_side(
    bench: ModuleType, case: Any, seed: int, variant: str, tools: dict[str, tuple[ModuleType, str]], limit: int
) -> list[Run]:
    """One variant of one program without a tool, twice, and between the two under each; printed as it goes."""
    arguments = (bench, case, seed, variant)
    before = apart(Run(case.name, variant, ""), limit, (*arguments, None))
    runs = [apart(Run(case.name, variant, name), limit, (*arguments, tool)) for name, (tool, _) in tools.items()]
    after = apart(Run(case.name, variant, ""), limit, (*arguments, None))
    bare = statistics.mean(run.seconds or 0.0 for run in (before, after))
    for run in runs:
        run.verdict = judge(run, case.label)
        if run.seconds is not None and bare >= bench.SHORTEST_TIMED:
            run.ratio = run.seconds / bare
        words = "; ".join([run.crash] * bool(run.crash) + ["note: " * said.note + said.text for said in run.said])
        print(f"{run.case:26} {seed} {run.variant:7} {run.tool:15} {run.verdict:14} {words}", flush=True)
    return runs


def judge(run: Run, label: Any) -> str:
    """What a run counts as, in the words of the table's columns."""
    findings = [said for said in run.said if not said.note]
    if run.crash and not run.said:
        return "crash"
    if run.variant != "faulty":
        return "accused" if findings else "clean"
    first = (findings or run.said)[:1]
    if any(label.rule in said.rules for said in first):
        return "named first"
    if any(label.accepted & said.rules for said in run.said):
        return "named"
    return "said something" if findings else "silent"


def row(tool: str, runs: list[Run]) -> list[str]:
    """One line of the table."""

    def share(variant: str, *verdicts: str) -> str:
        among = [run for run in runs if run.variant == variant]
        return f"{sum(run.verdict in verdicts for run in among)}/{len(among)}"

    spoke = [run for run in runs if run.variant == "faulty" and any(not said.note for said in run.said)]
    ratios = [run.ratio for run in runs if run.ratio is not None]
    return [
        tool,
        share("faulty", "named first"),
        share("faulty", "named first", "named"),
        f"{len(spoke)}/{sum(run.variant == 'faulty' for run in runs)}",
        share("healthy", "accused"),
        share("fixed", "accused"),
        f"{sum(bool(run.crash) for run in runs)}/{len(runs)}",
        f"{statistics.median(ratios):.2f}" if ratios else "-",
    ]


def table(rows: list[list[str]]) -> str:
    head = ["tool", *COLUMNS.split(",")]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def available(names: list[str]) -> dict[str, tuple[ModuleType, str]]:
    """The adapters whose tool can be imported, with its version; of the others it is said how to install them."""
    found = {}
    for name in names:
        adapter = importlib.import_module(f"compared.{ADAPTERS[name]}")
        try:
            found[name] = adapter, adapter.version()
        except ImportError as error:
            print(f"{name}: absent ({error}); {adapter.INSTALL}")
    return found


def load_bench(folder: Path) -> ModuleType:
    """The bench's own run.py: it finds the programs, their labels and their seeding."""
    if not (folder / "run.py").is_file():
        raise SystemExit(f"--bench {folder}: expected the folder of the bench, with run.py, labels.toml and cases/")
    sys.dont_write_bytecode = True  # the folder may be read-only
    sys.path.insert(0, str(folder))
    return importlib.import_module("run")


if __name__ == "__main__":
    main()
