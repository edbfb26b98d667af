"""The case study's table: plain, each remedy alone, and a plan file, on matched seeds.

    FASHION_MNIST=… python tests/bench/case_study.py [--lr 1e-4] [--seeds 5] [--jobs 2] [--plan advisor-plan.toml]

Every row is the same script (examples/case_study.py) under another plan; a run is a forked trial, as in `advisor fix`.
Printed are mean and standard deviation over the seeds of the final clean train and validation accuracy (the mean of the
last three epochs), the gain over plain, and the exact one-sided sign-flip test.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from advisor.executors.local import LocalExecutor
from advisor.metric import Metric, Result, result
from advisor.plan import Plan
from advisor.store import Store
from advisor.trial import Job, Program
from advisor.verdict import judge

SCRIPT = Path(__file__).parents[2] / "examples" / "case_study.py"
VAL, TRAIN = Metric("val_accuracy", "max"), Metric("clean_train_accuracy", "max")
PLANS = {
    "plain": Plan(),
    "dropout 0.5": Plan.of("dropout", rate=0.5),
    "batch norm": Plan.of("batch_norm"),
    "augmentation": Plan.of("augmentation"),
    "weight decay 0.01": Plan.of("weight_decay", weight_decay=0.01),
    "learning rate ×10": Plan.of("learning_rate", factor=10.0),
    "one cycle": Plan.of("learning_rate_schedule", kind="one_cycle"),
    "early stopping": Plan.of("early_stopping"),
    "epochs ×2": Plan.of("more_epochs", factor=2.0),
    "batch norm + dropout 0.5": Plan.of("batch_norm") + Plan.of("dropout", rate=0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", default="1e-4")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plan", type=Path, help="a plan of `advisor fix`, as a last row")
    options = parser.parse_args()
    plans = {**PLANS, **({f"advisor fix: {Plan.load(options.plan)}": Plan.load(options.plan)} if options.plan else {})}
    program = Program.from_script(SCRIPT, ("--lr", options.lr))
    seeds = list(range(1, options.seeds + 1))
    found: dict[str, list[tuple[Result, Result]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        url = str(Path(folder) / "advisor.db")
        jobs = [Job(n, plan, seed, session=1) for n, plan in enumerate(plans.values()) for seed in seeds]
        with LocalExecutor(program, url, jobs=options.jobs) as executor:
            runs = {(ran.job.number, ran.job.seed): ran for ran in executor.run(jobs)}
        store = Store(url)
        for number, name in enumerate(plans):
            records = [store.record(run) for seed in seeds if (run := runs[number, seed].run) is not None]
            found[name] = [(result(record, VAL), result(record, TRAIN)) for record in records]
        store.close()
    print(f"Adam at {options.lr}, {len(seeds)} seeds\n")
    print("| plan | clean train % | validation % | gain | p | verdict |\n|---|---|---|---|---|---|")
    plain = [val for val, _ in found["plain"]]
    for name, pairs in found.items():
        verdict = judge(plain, [val for val, _ in pairs], seeds, VAL)
        said = f"{100 * verdict.gain:+.1f} | {verdict.p:.3f} | {verdict.kind}" if name != "plain" else " |  | "
        print(f"| {name} | {spread([t for _, t in pairs])} | {spread([v for v, _ in pairs])} | {said} |")


def spread(results: list[Result]) -> str:
    values = [100 * r.final for r in results]
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


if __name__ == "__main__":
    main()
