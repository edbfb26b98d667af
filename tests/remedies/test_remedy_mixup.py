"""mixup: what is blended, and for whom it is offered. The losses are tested in test_mixing.py."""

from __future__ import annotations

import torch
from sessions import diagnosis_of, mlp, record_with, session_of, table

from advisor.evidence import Evidence
from advisor.remedies import mixup
from advisor.remedies.mixup import Parameters


def test_bytes_are_blended_and_rounded() -> None:
    """Every byte of a blend lies between those of the two images, and the type is kept."""
    images = (torch.rand(8, 3, 4, 4) * 255).to(torch.uint8)
    session = session_of(mlp(), (images, table(8)[1]))
    mixup.apply(session, Parameters(alpha=1.0))
    mixer = session.batch_changes[0].__self__  # type: ignore[attr-defined]  # a bound method
    mixer._plain = False
    (blend, _) = session.batch_changes[0]((images, table(8)[1]))
    (mixed,) = mixer._recent
    least, most = torch.minimum(images, images[mixed.order]), torch.maximum(images, images[mixed.order])
    assert blend.dtype is torch.uint8
    assert bool(((blend >= least) & (blend <= most)).all())
    assert 0 < mixed.share < 1


def test_candidates() -> None:
    """Two strengths for numbers; none for tokens, after too much augmentation, or where nothing is known."""

    def found(shape: list[int], dtype: str, *rules: str) -> list[float]:
        evidence = Evidence(record_with(input_batch={"shape": shape, "dtype": dtype}))
        return [choice.alpha for choice in mixup.candidates(diagnosis_of(*rules), evidence)]

    assert found([32, 6], "float32", "overfitting") == [0.2, 0.4]
    assert found([32, 3, 8, 8], "uint8") == [0.2, 0.4]
    assert found([32, 20], "int64") == []
    assert found([32, 6], "float32", "excessive_augmentation") == []
    assert mixup.candidates(diagnosis_of(), Evidence(record_with())) == []
