"""A plan and a script -> the same change as a patch of the script, proven by running both.

The script runs once under the plan, traced: the record says what each remedy changed, and where the script made what
it changed. Edits write that into the source where they are certain. Then the patched script runs at the same seed with
only what is left of the plan, and the patch counts only if every loss is the same.
"""

from __future__ import annotations

import dataclasses
import difflib
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor.call_sites import FACT, CallSites
from advisor.errors import AdvisorError, CannotApply, PlanError, ScriptError
from advisor.executors.local import LocalExecutor
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown, known_edits
from advisor.patching.proof import UNPROVEN, Proof, compare
from advisor.patching.source import Source
from advisor.plan import Plan, Step
from advisor.program import Program
from advisor.record import Record
from advisor.remedies import check_plan, load_remedies
from advisor.store import Store
from advisor.trial import Job

SEED = 0  # the script's own seeds, unshifted
AT_RUN_TIME = "it acts while the training runs; advisor has no edit of the source that says the same"
LATER = "left for another try"


@dataclass(frozen=True, slots=True)
class Patch:
    """What a plan comes to as source.

    path:          the script
    before, after: its text
    plan:          what was to be written
    kept:          steps that stay in a plan, by their place in it, with the reason
    proof:         of all others together; None where there are none
    """

    path: Path
    before: bytes
    after: bytes
    plan: Plan
    kept: Mapping[int, str]
    proof: Proof | None

    @property
    def written(self) -> tuple[Step, ...]:
        """The steps that the text holds now."""
        return tuple(step for place, step in enumerate(self.plan.steps) if place not in self.kept)

    @property
    def rest(self) -> Plan:
        """What has to be applied to the patched script still."""
        return Plan(steps=tuple(step for place, step in enumerate(self.plan.steps) if place in self.kept))

    @property
    def diff(self) -> str:
        """Unified; "" where nothing is written."""
        before, after = (text.decode("utf-8-sig").splitlines(keepends=True) for text in (self.before, self.after))
        lines = difflib.unified_diff(before, after, f"a/{self.path.name}", f"b/{self.path.name}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def make_patch(
    script: Path, plan: Plan, arguments: Sequence[str] = (), *, say: Callable[[str], None] = lambda _: None
) -> Patch:
    """Write a plan into a script's source, as far as that is certain and proven. No file is changed.

    say: hears what is under way, since each run takes as long as the script does

    Raises: PlanError; CannotApply where the plan finds nothing to change; ScriptError where the script cannot be used.
    """
    check_plan(plan)
    if not plan:
        raise PlanError("the plan is empty, so there is nothing to write", context=str(script))
    program = Program.from_script(script, tuple(arguments))
    assert program.script is not None  # mypy: made from a script
    source = Source(program.script, program.script.read_bytes())
    say("running the script under the plan")
    try:
        planned = _run(program, plan, traced=True)
    except PlanError as error:  # the plan by itself was checked above
        hint = "take plan= out of advisor.watch in the script first"
        raise PlanError(error.what, context=f"{program.name} has a plan of its own", hint=hint) from error
    except CannotApply as error:
        hint = error.hint or "take this remedy out of the plan"
        raise CannotApply(error.what, context=f"{program.name}, {error.context}", hint=hint) from error

    def attempt(without: Mapping[int, str]) -> Patch:
        """The patch of all that is certain, but for some steps; of nothing where it is not proven."""
        edited, kept = write_out(source, plan, planned, without=without)
        patch = Patch(source.path, source.text, edited.text, plan, kept, None)
        if not patch.written:
            return patch
        say("running the patched script")
        try:
            patched = _run(dataclasses.replace(program, text=edited.text), patch.rest)
            return dataclasses.replace(patch, proof=compare(planned, patched))
        except AdvisorError as error:
            reason = f"{UNPROVEN}: {error.what}"
        except Declined as declined:
            given = f"; `{shlex.join(arguments)}` may decide in the place of a default" if arguments else ""
            reason = declined.reason + given
        none = {place: kept.get(place, reason) for place in range(len(plan.steps))}
        return dataclasses.replace(patch, after=source.text, kept=none)

    return _largest(attempt)


def _largest(attempt: Callable[[Mapping[int, str]], Patch]) -> Patch:
    """The patch of all steps; where that is not proven, of those that hold one on top of another."""
    best = attempt({})
    blamed = [place for place, reason in best.kept.items() if reason.startswith(UNPROVEN)]
    if len(blamed) < 2:
        return best
    refused: dict[int, str] = {}
    for place in sorted(blamed):
        patch = attempt({**refused, **{later: LATER for later in blamed if later > place}})
        if patch.proof is None:
            refused[place] = patch.kept[place]
        else:
            best = patch
    return dataclasses.replace(best, kept={**best.kept, **refused})


def write_out(
    source: Source, plan: Plan, planned: Record, *, without: Mapping[int, str] | None = None
) -> tuple[Source, dict[int, str]]:
    """The source with every step that is certain, and the reasons of the others by their place in the plan.

    planned: the record of a traced run under the plan;  without: steps to leave out, with the reason
    """
    kept = dict(without or {})
    for place, step in enumerate(plan.steps):
        if place not in kept:
            try:
                source = _with(source, step, planned)
            except Declined as declined:
                kept[place] = declined.reason
    return source, kept


def _with(source: Source, step: Step, planned: Record) -> Source:
    """The source with one step. Raises: Declined."""
    edit = known_edits().get(step.remedy)
    if edit is None:
        raise Declined(AT_RUN_TIME)
    note = planned.facts.get(f"remedy.{step.remedy}")
    shown = Shown(
        sites=CallSites.model_validate(planned.facts[FACT]),
        parameters=load_remedies()[step.remedy].check(step).model_dump(mode="json"),
        note=note if isinstance(note, dict) else {},
        facts=planned.facts,
    )
    pieces = edit(source, shown)
    if not pieces:
        raise Declined("nothing in the script had to change for it")
    return source.changed(pieces)


def _run(program: Program, plan: Plan, *, traced: bool = False) -> Record:
    """One run from start to end, in a store that is gone afterwards.

    Raises: ScriptError where it does not come to its end; what advisor itself says of the plan.
    """
    with tempfile.TemporaryDirectory(prefix="advisor-") as folder:
        url = str(Path(folder) / "advisor.db")
        with LocalExecutor(program, url) as executor:
            (ran,) = executor.run([Job(1, plan, SEED, traced=traced)])
        store = Store(url)
        try:
            if ran.ours is not None:
                raise ran.ours
            if ran.run is None or ran.status not in ("finished", "stopped"):
                raise ScriptError(ran.error or f"the run {ran.status}", context=program.name, hint=ran.tail)
            if len(store.run_infos()) > 1:
                raise ScriptError("the script has several watched loops", context=program.name, hint="keep the plan")
            return store.record(ran.run)
        finally:
            store.close()
