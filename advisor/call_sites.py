"""Where in its script a run made its objects and called what trains: places in the source, as data.

A place is known from the frames of a run that was traced (`advisor.tracing`), never guessed from the text.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FACT = "call_sites"  # the name under which a record keeps them


class Site(BaseModel):
    """A call or a loop in a source file. Lines count from 1, columns from 0 in bytes of UTF-8, as Python counts them.

    line, column: 0 where Python was told to keep no columns (PYTHONNODEBUGRANGES)
    """

    model_config = ConfigDict(frozen=True)

    file: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0


class Made(BaseModel):
    """An object and the call that made it.

    kind:    its class at that time
    objects: how many objects of the run were made by that very call; more than one in a loop or a function
    units:   out_features or out_channels of a layer
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    site: Site
    objects: int = 1
    units: int | None = None


class CallSites(BaseModel):
    """What a traced run leaves in its record. None and absent: made where no frame of the user's was on the stack.

    watch:  the call of `advisor.watch`;  loop: the loop over it
    layers: by their names in the model, those that a plan grafted left out
    calls:  "backward", "step", "clip_grad_norm_", "clip_grad_value_", "train" and "val" (loops over these loaders),
            and what a remedy hears; each with the frames of the script that led there, innermost first
    transforms: those of the "train" and the "val" data set and of what they are made of, in the order in which
            remedies look at them; "other" for those of data sets that neither loader reads, as far as known
    """

    model_config = ConfigDict(frozen=True)

    script: str
    watch: Site | None = None
    loop: Site | None = None
    optimizers: tuple[Made | None, ...] = ()
    train: Made | None = None
    val: Made | None = None
    loss_fn: Made | None = None
    layers: dict[str, Made] = {}
    calls: dict[str, tuple[tuple[Site, ...], ...]] = {}
    transforms: dict[str, tuple[Made | None, ...]] = {}
