"""The training data set's `Compose([...])` without its random members; a random crop becomes what the run had instead.

Only where nothing else of the script uses that list: validation keeps what it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import libcst as cst

from advisor.call_sites import Made
from advisor.patching.declined import Declined
from advisor.patching.edits import Shown
from advisor.patching.edits._transforms import callee_name, list_of, members, prefix_of, taken_out
from advisor.patching.source import Replacement, Source
from advisor.record import Json

WHAT = "the transform of the training data"
SCOPES = (cst.FunctionDef, cst.Lambda, cst.Module)  # whose variables are seen from inside
Path = tuple[int, ...]  # places in lists, the outermost first
Changes = Mapping[Path, Mapping[str, Json]]


def edit(source: Source, shown: Shown) -> list[Replacement]:
    """All that the run was without, or nothing."""
    if shown.parameters.get("share"):
        raise Declined("which samples are augmented is drawn by advisor, and by no transform of torchvision")
    train = shown.sites.transforms.get("train", ())
    done: dict[Made, Changes] = {}
    pieces: list[Replacement] = []
    for place, changes in _by_place(shown).items():
        made = train[place] if place < len(train) else None
        if () in changes:
            raise Declined(f"{WHAT} is {changes[()]['name']} itself, and no Compose([...]) that it can leave")
        call = list_of(source, made, WHAT)
        assert made is not None  # mypy: the call was found
        if made in done and done[made] == changes:
            continue
        _check_own(source, shown, made, call)
        done[made] = changes
        new = _without(source, call, changes, ())
        if new is None:
            raise Declined(f"nothing would be left in the {made.kind} of line {source.line(call)}")
        pieces += new
    return pieces


def _by_place(shown: Shown) -> dict[int, Changes]:
    """What was left out, by the transform that held it."""
    noted = shown.note.get("members")
    found: dict[int, dict[Path, Mapping[str, Json]]] = {}
    for one in noted if isinstance(noted, list) else []:
        if isinstance(one, dict) and isinstance(one["at"], list) and isinstance(one["place"], int):
            path = tuple(place for place in one["at"] if isinstance(place, int))
            found.setdefault(one["place"], {})[path] = {name: one[name] for name in ("name", "among", "instead")}
    return dict(found)


def _without(source: Source, call: cst.Call, changes: Changes, at: Path) -> list[Replacement] | None:
    """A list without what was left out of it and of those inside it; None where nothing is left."""
    listed, gone = members(source, call), set()
    pieces: list[Replacement] = []
    for place, value in enumerate(listed):
        path = (*at, place)
        if path in changes:
            change = changes[path]
            if callee_name(value) != change["name"] or len(listed) != change["among"]:
                raise Declined(f"the {change['name']} of {WHAT} does not stand in the list of line {source.line(call)}")
            if change["instead"]:
                pieces.append(source.replaced(value, _prefixed(source, value, str(change["instead"]))))
            else:
                gone.add(place)
        elif any(other[: len(path)] == path for other in changes):
            if not isinstance(value, cst.Call):
                raise Declined(f"line {source.line(value)} lists `{source.of(value)}`, which is made elsewhere")
            inner = _without(source, value, changes, path)
            if inner is None:
                gone.add(place)
            else:
                pieces += inner
    if len(gone) == len(listed):
        return None
    return [*pieces, *taken_out(source, listed, gone)]


def _prefixed(source: Source, value: cst.BaseExpression, text: str) -> str:
    assert isinstance(value, cst.Call)  # mypy: its name was compared
    return prefix_of(source, value, text.partition("(")[0]) + text


def _check_own(source: Source, shown: Shown, made: Made, call: cst.Call) -> None:
    """Raises: Declined where something but the training data uses what the call makes."""
    line = source.line(call)
    if any(made.site == other.site for other in shown.sites.transforms.get("val", ()) if other is not None):
        raise Declined(f"line {line} makes the transform of validation too; give training a Compose([...]) of its own")
    if any(made.site == other.site for other in shown.sites.transforms.get("other", ()) if other is not None):
        raise Declined(f"line {line} makes the transform of another data set too; give training one of its own")
    if made.objects != 1:
        raise Declined(f"line {line} makes {made.objects} transforms, of which training has one")
    holder = next(parent for parent in source.parents(call) if not isinstance(parent, cst.IfExp))
    target = holder.target if isinstance(holder, cst.AnnAssign) else None
    if isinstance(holder, cst.Assign):
        target = holder.targets[0].target
    if isinstance(target, cst.Name):
        uses = list(_uses(source, target))
        if len(uses) != 1:
            lines = ", ".join(str(source.line(use)) for use in uses) or "no line"
            raise Declined(f"`{target.value}` is used at {lines}; give training a Compose([...]) of its own")


def _uses(source: Source, target: cst.Name) -> Iterator[cst.Name]:
    """Where the variable is read: the same name in a function that binds it is another variable."""
    home, name = source.scope(target), target.value
    for node in source.all(cst.Name):
        parent = next(source.parents(node))
        attribute = isinstance(parent, cst.Attribute) and parent.attr is node
        keyword = isinstance(parent, cst.Arg) and parent.keyword is node
        if node.value == name and not attribute and not keyword and not _binds(parent, node):
            around = (scope for scope in source.parents(node) if isinstance(scope, SCOPES))
            if next((scope for scope in around if scope is home or _bound_in(source, scope, name)), None) is home:
                yield node


def _binds(parent: cst.CSTNode, node: cst.Name) -> bool:
    if isinstance(parent, cst.AssignTarget | cst.AnnAssign):
        return parent.target is node
    return isinstance(parent, cst.Param) and parent.name is node


def _bound_in(source: Source, scope: cst.CSTNode, name: str) -> bool:
    """Whether a function has a parameter or a variable of that name."""
    named = (node for node in source.all(cst.Name) if node.value == name and source.scope(node) is scope)
    return any(_binds(next(source.parents(node)), node) for node in named)
