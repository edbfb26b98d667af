"""Evidence and rules -> a diagnosis: every rule asked, what fired ranked, causes above the symptoms they explain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from advisor.evidence import Evidence, Missing
from advisor.finding import Finding, Outcome
from advisor.progress import share_error, smooth
from advisor.rulebook import Rule

FEWEST_EPOCHS = 2  # a curve of one point says nothing about where it goes
CLEARLY = 2.0  # standard errors: 1 in 40 by chance for a normal error


class Diagnosis(BaseModel):
    """What is wrong with a run, first cause first; or that nothing is; or that one cannot tell."""

    model_config = ConfigDict(frozen=True)

    status: Literal["problems", "healthy", "not_enough_evidence"]
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    reason: str = ""  # why not_enough_evidence; what "healthy" covered
    unknown: str = ""  # what cannot be known of this run, beside the problems that were found
    clear: tuple[str, ...] = ()
    set_aside: tuple[tuple[str, str], ...] = ()  # (rule that fired, the surer one that it contradicts)
    not_applicable: tuple[tuple[str, str], ...] = ()  # (rule, what it lacked)
    crashed: tuple[tuple[str, str], ...] = ()  # (rule, error)

    @property
    def top(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    @property
    def counts(self) -> str:
        """ "10 rules: 2 fired, 7 clear, 1 not applicable"."""
        fired = len(self.findings) + len(self.notes) + len(self.set_aside)
        total = fired + len(self.clear) + len(self.not_applicable) + len(self.crashed)
        aside = f" ({len(self.set_aside)} contradicted by a surer one)" if self.set_aside else ""
        parts = [f"{fired} fired{aside}", f"{len(self.clear)} clear"]
        if self.not_applicable:
            parts.append(f"{len(self.not_applicable)} not applicable")
        if self.crashed:
            parts.append(f"{len(self.crashed)} crashed")
        return f"{total} rules: {', '.join(parts)}"


def diagnose(
    evidence: Evidence,
    rules: Mapping[str, Rule],
    overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> Diagnosis:
    """Ask every rule. overrides: thresholds by rule, from the user's configuration."""
    outcomes = [rule.run(evidence, (overrides or {}).get(name)) for name, rule in rules.items()]
    fired, set_aside = agree([o.finding for o in outcomes if o.finding is not None], rules)
    findings = rank([f for f in fired if f.severity == "problem"])
    lack = _lacks(evidence, outcomes)
    return Diagnosis(
        status="problems" if findings else "not_enough_evidence" if lack else "healthy",
        findings=tuple(findings),
        notes=tuple(f for f in fired if f.severity == "note"),
        reason=lack or _covered(evidence),
        unknown=_unvalidated(evidence) if findings and evidence.epochs >= FEWEST_EPOCHS else "",
        clear=tuple(o.rule for o in outcomes if o.result == "clear"),
        set_aside=tuple(set_aside.items()),
        not_applicable=tuple((o.rule, o.missing or "") for o in outcomes if o.result == "not_applicable"),
        crashed=tuple((o.rule, o.error or "") for o in outcomes if o.result == "crashed"),
    )


def agree(findings: Sequence[Finding], rules: Mapping[str, Rule]) -> tuple[list[Finding], dict[str, str]]:
    """Findings of which no two contradict each other, in their order; and who was set aside for whom.

    A problem goes before a note, then the surer before the less sure, then our order of rules.
    """
    kept: list[Finding] = []
    set_aside: dict[str, str] = {}
    for finding in sorted(findings, key=lambda f: (f.severity == "note", -f.confidence)):
        other = next((k.rule for k in kept if contradict(finding.rule, k.rule, rules)), None)
        if other is None:
            kept.append(finding)
        else:
            set_aside[finding.rule] = other
    return [f for f in findings if f.rule not in set_aside], set_aside


def contradict(one: str, other: str, rules: Mapping[str, Rule]) -> bool:
    """Whether either of two rules says that it contradicts the other."""
    return any(b in rules[a].contradicts for a, b in ((one, other), (other, one)) if a in rules)


def rank(findings: Sequence[Finding]) -> list[Finding]:
    """Causes first, each by confidence; then what they explain, which says so in `explained_by`.

    A symptom of a symptom counts as explained by the root. Of two findings that explain each other, the surer is the
    cause.
    """
    surest = sorted(findings, key=lambda f: -f.confidence)
    cause: dict[str, str] = {}
    for finding in surest:
        for other in surest:
            explains = other.rule in finding.explains and other.rule not in cause
            if explains and other.rule != finding.rule and _root(finding.rule, cause) != other.rule:
                cause[other.rule] = finding.rule
    causes = [f for f in surest if f.rule not in cause]
    symptoms = [f.model_copy(update={"explained_by": _root(f.rule, cause)}) for f in surest if f.rule in cause]
    return [*causes, *symptoms]


def _root(rule: str, cause: Mapping[str, str]) -> str:
    while rule in cause:
        rule = cause[rule]
    return rule


def _lacks(evidence: Evidence, outcomes: Sequence[Outcome]) -> str:
    """Why nothing can be said; "" where something can."""
    early = f"{evidence.epochs} complete epoch(s): at least {FEWEST_EPOCHS} are needed to say where a curve goes"
    if evidence.info.status == "running" and evidence.epochs < FEWEST_EPOCHS:
        return early
    if not evidence.has("train_loss"):
        if not evidence.has("lr"):  # it is read at every sampled step
            return "the optimizer took no step: is the training loader empty, or was advisor.watch given another one?"
        return "no training loss was seen: pass loss_fn= to advisor.watch, or wrap your own with advisor.loss"
    if evidence.epochs < FEWEST_EPOCHS:
        return f"{evidence.epochs} complete epoch(s): at least {FEWEST_EPOCHS} are needed to say where a curve goes"
    unvalidated = _unvalidated(evidence)
    if unvalidated:
        return unvalidated
    if not any(o.result == "clear" for o in outcomes):
        return "no rule could be asked"
    return _at_chance(evidence)


def _unvalidated(evidence: Evidence) -> str:
    """That nothing was validated, and what to do; "" where something was."""
    own = evidence.info.metric  # what the user's loop measures itself
    if evidence.has("val_loss") or evidence.has("val_score") or (own and evidence.has(own)):
        return ""
    unknown = "no validation was seen, so whether the model generalises cannot be known: "
    if evidence.has("train_loss") and not evidence.has("loss"):  # val= would not help: there is nothing to compute
        return (
            f"{unknown}the loop's loss is no function of torch's, so pass it as loss_fn=advisor.loss(yours) and call "
            'that, or log what counts: watch.log(val_loss=…) with metric="val_loss"'
        )
    return (
        f"{unknown}pass val= to advisor.watch, splitting a part off the training data (torch.utils.data.random_split) "
        "where there is none"
    )


def _at_chance(evidence: Evidence) -> str:
    """Nothing fired, yet the score is what guessing gives: that is not health; "" where it is better than that.

    The best of a smooth validation curve must be above guessing; and validation or training must be so by more than
    the binomial error of a score over so many samples.
    """
    val, chance = _best_score(evidence), _number(evidence, "chance_score")
    if val is None or chance is None:
        return ""
    error = CLEARLY * _error(evidence, chance, "val_samples")
    train = evidence.curve("clean_train_score").last if evidence.has("clean_train_score") else val
    trained = train > chance + CLEARLY * _error(evidence, chance, "clean_train_samples")
    if val > chance + error or (val > chance and trained) or _recognises(evidence):
        return ""
    by = f"{chance:.3f} ± {error:.3f}" if error else f"{chance:.3f}"
    return f"the best validation score {val:.3f} is not above guessing ({by}), and no rule knows why"


def _recognises(evidence: Evidence) -> bool:
    """Whether the mean recall is above guessing: classes that are weighted up cost accuracy, and are learnt."""
    try:
        recall = float(smooth(evidence.curve("val_balanced_accuracy").values).max())
        listed = evidence.table("val_classes").get("count")
    except Missing:
        return False
    counts = [n for n in listed if isinstance(n, int | float) and n > 0] if isinstance(listed, list) else []
    if len(counts) < 2:  # of one class every answer is right
        return False
    even = 1 / len(counts)
    error = math.sqrt(sum(share_error(even, n) ** 2 for n in counts)) / len(counts)
    return recall > even + CLEARLY * error


def _error(evidence: Evidence, chance: float, samples: str) -> float:
    """Standard error of the score of guessing; 0 where it is no share, or of how many is not known."""
    count = _number(evidence, samples)
    return 0.0 if evidence.info.task == "regression" or count is None else share_error(chance, count)


def _best_score(evidence: Evidence) -> float | None:
    try:
        return float(smooth(evidence.curve("val_score").values).max())
    except Missing:
        return None


def _number(evidence: Evidence, name: str) -> float | None:
    try:
        return evidence.number(name)
    except Missing:
        return None


def _covered(evidence: Evidence) -> str:
    """What "healthy" rests on."""
    parts = [] if evidence.info.step_based else [f"{evidence.epochs} epochs"]  # there an epoch is a window of ours
    parts.append(f"{evidence.steps} steps")
    validated = evidence.has("val_loss") or evidence.has("val_score")
    parts.append("validation" if validated else "no validation")
    for name, text in (("grad_norm", "gradients"), ("dead_units", "activations")):
        parts.append(text if evidence.has(name) else f"no {text}")
    best, chance = _best_score(evidence), _number(evidence, "chance_score")
    if best is not None and chance is not None:
        parts.append(f"validation score {best:.3f} against {chance:.3f} by guessing")
    return "seen: " + ", ".join(parts)
