"""What reached the loss functions of a training step, as the instrument of the same name wrote it -> typed, for rules.

A step may call several loss functions, or one within the user's own: each is one `LossInputs`. All numbers are over
the sampled steps of the first epochs; None where nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, ValidationError

from advisor.evidence import Evidence, Missing

CLASS_LOSSES = frozenset({"cross_entropy", "nll_loss"})
BINARY_LOSSES = frozenset({"binary_cross_entropy", "binary_cross_entropy_with_logits"})
DISTANCES = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
ELEMENTWISE = DISTANCES | {
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "kl_div",
    "poisson_nll_loss",
    "soft_margin_loss",
}
PROBABILITIES = frozenset({"softmax", "sigmoid", "hardsigmoid"})  # operations whose results they are
SUMS_TO_ONE = 0.02  # |sum - 1| of probabilities in half precision: bfloat16 has 8 bits, 2⁻⁸ an element

Range = tuple[float | None, float | None]  # None: unbounded, or not a number


class LossInputs(BaseModel):
    """One loss function of the training step.

    name:          of torch's function, or of the user's own; "" for one that is written out in the loop
    measures:      which of torch's functions it amounts to, also where it is written out; "" where that is unknown
    own:           a function of the user's own, which calls none of torch's
    last:          the last operations of the output, the last one first: ("softmax",), ("clamp", "sigmoid"), …
    softmax:       (dimension, shape) where the last of them is a softmax or a log_softmax, or where a function of the
                   user's own applies one to the whole output
    bounds:        what the last operations can give, whatever their input
    output:        lowest and highest value seen; zeros: share of exact zeros, in the batch that has the fewest
    ends:          share of values at an end of `bounds`, mean over the batches
    sums_off:      for each dimension of the output how far sums over it are from 1, at most
    exp_sums_off:  likewise, sums of exp(output)
    target:        lowest and highest value; target_sums_off: as above
    target_outside: share of targets beyond `bounds`
    target_varies: within one batch; distinct: values among those that were looked at
    most_common:   count of the most frequent value over that of the rarest
    labelled:      the loader gives these targets as whole numbers of an integer type
    target_first:  it is called as `loss_fn(target, output)`; output and target are here what they are all the same
    enlarged:      shape that output and target of different shapes are broadcast to, where it is larger than both
    """

    model_config = ConfigDict(frozen=True)

    name: str
    measures: str = ""
    own: bool = False
    reduction: str = "mean"
    output_shape: tuple[int, ...] = ()
    target_shape: tuple[int, ...] = ()
    target_dtype: str = ""
    last: tuple[str, ...] = ()
    softmax: tuple[int, tuple[int, ...]] | None = None
    bounds: Range = (None, None)
    output: Range = (None, None)
    zeros: float | None = None
    ends: float | None = None
    sums_off: tuple[float | None, ...] = ()
    exp_sums_off: tuple[float | None, ...] = ()
    target: Range = (None, None)
    target_integer: bool = False
    target_sums_off: tuple[float | None, ...] = ()
    target_varies: bool = False
    target_outside: float | None = None
    distinct: int | None = None
    most_common: float | None = None
    labelled: bool = False
    target_first: bool = False
    enlarged: tuple[int, ...] | None = None
    steps: int = 0

    @property
    def class_dimension(self) -> int | None:
        """Where the classes lie, for a loss that defines it; None where it does not, or where there is one class."""
        if self.name not in CLASS_LOSSES or not self.output_shape:
            return None
        dimension = 1 if len(self.output_shape) > 1 else 0
        return dimension if self.output_shape[dimension] > 1 else None

    def is_distribution(self, dimension: int, *, within: float = SUMS_TO_ONE, logarithm: bool = False) -> bool:
        """Whether the output, or exp of it, is not negative and sums to one over a dimension of more than one entry."""
        off, low = self._off(dimension, logarithm=logarithm), self.output[0]
        inside = logarithm or (low is not None and low >= 0)
        return off is not None and off < within and inside and self.output_shape[dimension] > 1

    def misses_one(self, dimension: int, *, by: float, logarithm: bool = False) -> bool:
        """Whether sums over a dimension are far from one."""
        off = self._off(dimension, logarithm=logarithm)
        return off is not None and off > by

    def _off(self, dimension: int, *, logarithm: bool) -> float | None:
        offs = self.exp_sums_off if logarithm else self.sums_off
        return offs[dimension] if dimension < len(offs) else None

    @property
    def one_hot(self) -> bool:
        """Whether the target has a single 1 among zeros in each row of a dimension of at least two entries."""
        dimension = 1 if len(self.target_shape) > 1 else 0
        off = self.target_sums_off[dimension] if dimension < len(self.target_sums_off) else None
        rows = len(self.target_shape) > 1 and self.target_shape[dimension] > 1
        return rows and self.target_integer and self.target == (0.0, 1.0) and off == 0


def loss_inputs(run: Evidence) -> Iterator[LossInputs]:
    """All that the record has. Raises: Missing."""
    found = run.fact("loss_inputs")
    if not isinstance(found, list):
        raise Missing("loss_inputs")
    for one in found:
        try:
            yield LossInputs.model_validate(one)
        except ValidationError:
            continue
