"""clear_gradients: the run of a loop that clears them itself, accumulation and all."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  as in every tutorial
from loops import Program, plain, program, run, same
from sessions import diagnosis_of, mlp, record_with
from torch import nn

from advisor.evidence import Evidence
from advisor.plan import Plan
from advisor.remedies import Session, clear_gradients
from advisor.remedies.clear_gradients import Parameters

PLAN = Plan.of("clear_gradients")


def forgets(made: Program) -> None:
    for x, y in made.train:
        made.step(x, y, clear=False)
    made.validate()


def test_it_is_the_loop_that_clears() -> None:
    """Every loss and weight is that of the loop with zero_grad() in each step; without the plan they differ."""
    assert same(run(program(mlp), forgets, PLAN), run(program(mlp), plain, watched=False))
    assert not same(run(program(mlp), forgets), run(program(mlp), plain, watched=False))


def test_a_loop_that_clears_is_unchanged() -> None:
    """A second zero_grad changes nothing."""
    assert same(run(program(mlp), plain, PLAN), run(program(mlp), plain, watched=False))


def test_gradients_from_before_the_loop_are_cleared() -> None:
    """A trial backward pass before the loop does not reach the first step."""
    made = program(mlp)
    F.cross_entropy(made.model(made.val.dataset[:4][0]), made.val.dataset[:4][1]).backward()
    assert same(run(made, forgets, PLAN), run(program(mlp), plain, watched=False))


def test_accumulation_is_left_alone() -> None:
    """Three backward passes to a step still add up; only what follows the step begins anew."""

    def accumulates(made: Program, *, clear: bool) -> None:
        for number, (x, y) in enumerate(made.train):
            made.backward(x, y)
            if number % 3 == 2:
                made.optimizer.step()
                if clear:
                    made.optimizer.zero_grad()

    repaired = run(program(mlp), lambda made: accumulates(made, clear=False), PLAN)
    assert same(repaired, run(program(mlp), lambda made: accumulates(made, clear=True), watched=False))


def adversaries() -> tuple[nn.Linear, nn.Linear, list[torch.optim.SGD]]:
    torch.manual_seed(0)
    one, other = nn.Linear(2, 2), nn.Linear(2, 1)
    return one, other, [torch.optim.SGD(m.parameters(), lr=0.1) for m in (one, other)]


def alternate(steps: int, *, clear: bool) -> list[torch.Tensor]:
    """A discriminator and a generator in turn, as in the DCGAN tutorial."""
    maker, judge, optimizers = adversaries()
    session = Session(maker, list(optimizers), [])
    if not clear:
        clear_gradients.apply(session, Parameters())
    with session.looping():
        for _ in range(steps):
            for optimizer, wanted in zip(reversed(optimizers), (0.0, 1.0), strict=True):
                if clear:
                    for one in optimizers:
                        one.zero_grad()
                made = maker(torch.ones(4, 2))
                opinion = judge(made.detach() if optimizer is optimizers[1] else made)
                F.binary_cross_entropy_with_logits(opinion, torch.full_like(opinion, wanted)).backward()
                optimizer.step()
    return [p.detach().clone() for p in (*maker.parameters(), *judge.parameters())]


def together(steps: int, *, clear: bool) -> list[torch.Tensor]:
    """One backward pass, and each optimizer steps."""
    one, other, optimizers = adversaries()
    session = Session(one, list(optimizers), [])
    if not clear:
        clear_gradients.apply(session, Parameters())
    with session.looping():
        for _ in range(steps):
            if clear:
                one.zero_grad()
                other.zero_grad()
            other(one(torch.ones(4, 2))).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
    return [p.detach().clone() for p in (*one.parameters(), *other.parameters())]


def test_the_others_backward_pass_leaves_nothing() -> None:
    """What a generator's backward pass leaves in the discriminator does not reach the discriminator's next step."""
    assert all(torch.equal(a, b) for a, b in zip(alternate(5, clear=True), alternate(5, clear=False), strict=True))


def test_two_optimizers_of_one_backward_pass() -> None:
    """The second one's gradients are still there when the first has stepped."""
    assert all(torch.equal(a, b) for a, b in zip(together(3, clear=True), together(3, clear=False), strict=True))


def test_it_ends_with_the_loop() -> None:
    """After the loop a step leaves its gradients where they are."""
    made = run(program(mlp), forgets, PLAN)
    forgets(made)
    assert all(p.grad is not None for p in made.model.parameters())


def test_candidates() -> None:
    """Only where gradients were found left over."""
    nothing = Evidence(record_with())
    assert clear_gradients.candidates(diagnosis_of("missing_zero_grad"), nothing) == [Parameters()]
    assert clear_gradients.candidates(diagnosis_of("learning_rate_too_high"), nothing) == []
