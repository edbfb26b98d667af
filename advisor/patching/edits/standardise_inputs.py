"""`Normalize(mean, std)` behind the last member of each `Compose([...])` whose images reach the model, or behind a
`ToTensor()` that stands alone.

The numbers are those that the run used: torchvision's arithmetic gives what the hook of the remedy gave.
"""

from __future__ import annotations

import libcst as cst
import numpy as np

from advisor.call_sites import Site
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._transforms import appended, callee_name, list_of, members, prefix_of
from advisor.patching.source import Replacement, Source

TO_NUMBERS = ("ToTensor", "ToDtype", "ConvertImageDtype")  # after one of these an image is a floating tensor
MAKING = ("Compose", "PILToTensor", "ToImage", *TO_NUMBERS)  # a sign of another way from an image to the model
WHOSE = {"train": "the training data", "val": "the validation data", "other": "another data set"}


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """The data sets' transforms, all of them or none: they share a model, which is told of no other scale."""
    mean, scale = _numbers(shown, "mean"), _numbers(shown, "scale")
    if shown.sites.val is not None and not shown.sites.transforms.get("val"):
        raise Declined("the validation data have no transform, so Normalize has no place there")
    if not shown.sites.transforms.get("train"):
        raise Declined("the training data have no transform, so Normalize has no place there")
    calls: dict[Site, cst.Call] = {}
    for which, whose in WHOSE.items():
        for made in shown.sites.transforms.get(which, ()):
            what = f"the transform of {whose}"
            alone = made is not None and made.kind in TO_NUMBERS
            call = source.call(made.site, what) if made is not None and alone else list_of(source, made, what)
            assert made is not None  # mypy: the call was found
            calls[made.site] = call
    _check_complete(source, list(calls.values()))
    pieces: list[Replacement] = []
    for call in calls.values():
        if callee_name(call) in TO_NUMBERS:
            prefix = prefix_of(source, call, "Normalize", "Compose")
            listing = f"{prefix}Compose([{source.of(call)}, {prefix}Normalize({mean}, {scale})])"
            pieces.append(source.replaced(call, listing))
            continue
        listed = members(source, call)
        known = next((one for one in listed if callee_name(one) in TO_NUMBERS), None)
        if not isinstance(known, cst.Call):
            raise Declined(f"line {source.line(call)} lists no {' or '.join(TO_NUMBERS)}, which Normalize must follow")
        pieces += appended(source, listed, f"{prefix_of(source, known, 'Normalize')}Normalize({mean}, {scale})")
    return pieces


def _numbers(shown: Shown, name: str) -> str:
    """A list of them as source, each as short as its float32 allows."""
    values = shown.note.get(name)
    if not isinstance(values, list):
        raise Declined("the model gets no images (N, C, H, W), or not as the transform of the data set gives them")
    numbers = [value for value in values if isinstance(value, float)]
    return f"[{', '.join(str(np.float32(n)) if float(np.float32(n)) == n else repr(n) for n in numbers)}]"


def _check_complete(source: Source, calls: list[cst.Call]) -> None:
    """Raises: Declined where the script makes images for the model in another way too, which the run has not shown."""
    spans = [source.span(call) for call in calls]
    for other in source.all(cst.Call):
        (start, end), name = source.span(other), callee_name(other)
        if name in MAKING and not any(a <= start and end <= b for a, b in spans):
            raise Declined(f"line {source.line(other)} makes a {name}, whose images the run has not shown")
