"""Evidence and rules -> a diagnosis: every rule asked, what fired ranked, causes above the symptoms they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from advisor.evidence import Evidence, Missing
from advisor.finding import Finding, Outcome
from advisor.rulebook import Rule

FEWEST_EPOCHS = 2  # a curve of one point says nothing about where it goes


class Diagnosis(BaseModel):
    """What is wrong with a run, first cause first; or that nothing is; or that one cannot tell."""

    model_config = ConfigDict(frozen=True)

    status: Literal["problems", "healthy", "not_enough_evidence"]
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    reason: str = ""  # why not_enough_evidence; what "healthy" covered
    clear: tuple[str, ...] = ()
    not_applicable: tuple[tuple[str, str], ...] = ()  # (rule, what it lacked)
    crashed: tuple[tuple[str, str], ...] = ()  # (rule, error)

    @property
    def top(self) -> Finding | None:
        return self.findings[0] if self.findings else None

    @property
    def counts(self) -> str:
        """ "10 rules: 2 fired, 7 clear, 1 not applicable"."""
        fired = len(self.findings) + len(self.notes)
        total = fired + len(self.clear) + len(self.not_applicable) + len(self.crashed)
        parts = [f"{fired} fired", f"{len(self.clear)} clear"]
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
    fired = [o.finding for o in outcomes if o.finding is not None]
    findings = rank([f for f in fired if f.severity == "problem"])
    lack = _lacks(evidence, outcomes)
    return Diagnosis(
        status="problems" if findings else "not_enough_evidence" if lack else "healthy",
        findings=tuple(findings),
        notes=tuple(f for f in fired if f.severity == "note"),
        reason=lack or _covered(evidence),
        clear=tuple(o.rule for o in outcomes if o.result == "clear"),
        not_applicable=tuple((o.rule, o.missing or "") for o in outcomes if o.result == "not_applicable"),
        crashed=tuple((o.rule, o.error or "") for o in outcomes if o.result == "crashed"),
    )


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
    if not evidence.has("train_loss"):
        return "no training loss was seen: pass loss_fn= to advisor.watch, or wrap your own with advisor.loss"
    if evidence.epochs < FEWEST_EPOCHS:
        return f"{evidence.epochs} complete epoch(s): at least {FEWEST_EPOCHS} are needed to say where a curve goes"
    if not evidence.has("val_loss") and not evidence.has("val_score"):
        return "no validation was seen, so whether the model generalises cannot be known: pass val= to advisor.watch"
    if not any(o.result == "clear" for o in outcomes):
        return "no rule could be asked"
    chance = _below_chance(evidence)
    if chance:
        return chance
    return ""


def _below_chance(evidence: Evidence) -> str:
    """Nothing fired, yet the score is what guessing gives: that is not health."""
    try:
        score = float(evidence.curve("val_score").values.max())
        chance = evidence.number("chance_score")
    except Missing:
        return ""
    if score > chance:
        return ""
    return f"the best validation score {score:.3f} is not above guessing ({chance:.3f}), and no rule knows why"


def _covered(evidence: Evidence) -> str:
    parts = [f"{evidence.epochs} epochs", f"{evidence.steps} steps"]
    for name, text in (("val_loss", "validation"), ("grad_norm", "gradients"), ("dead_units", "activations")):
        parts.append(text if evidence.has(name) else f"no {text}")
    return "seen: " + ", ".join(parts)
