"""The source of a script -> what stands in it, with its line: support for what a run has shown, and never a finding.

A rule names the facts that would speak for it (`in_source=[...]`); they are looked up once it has fired. What seems to
be missing may be done in ways that no reader of the text can see, which is why the text alone accuses nobody.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import lru_cache

SHUFFLE = 2  # position of `shuffle` among the arguments of torch.utils.data.DataLoader
ORDERED = {"sampler", "batch_sampler"}  # arguments that decide on the order in the place of `shuffle`


@lru_cache(maxsize=4)  # a run is diagnosed again and again while it goes on
def source_facts(source: str) -> dict[str, str]:
    """Each fact that the source shows -> "line 12: …"; nothing where it cannot be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found = {}
    for name, look in FACTS.items():
        first = min(look(tree), default=None)
        if first is not None:
            found[name] = f"line {first[0]}: {first[1]}"
    return found


def no_zero_grad(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """backward() is called, and nothing in the script clears a gradient."""
    cleared = any(isinstance(node, ast.Attribute) and node.attr in ("zero_grad", "grad") for node in ast.walk(tree))
    for call in _calls(tree):
        if not cleared and isinstance(call.func, ast.Attribute) and call.func.attr == "backward":
            yield call.lineno, "backward(), and no zero_grad() in the script"


def unshuffled_loader(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A DataLoader under a name with "train" in it, or given as train=, neither shuffles nor has a sampler."""
    for name, call in _named(tree):
        if _name(call.func) != "DataLoader" or "train" not in name.lower() or any(k.arg is None for k in call.keywords):
            continue
        given = {k.arg: k.value for k in call.keywords}
        shuffle = call.args[SHUFFLE] if len(call.args) > SHUFFLE else given.get("shuffle", ast.Constant(False))
        if isinstance(shuffle, ast.Constant) and not shuffle.value and not ORDERED & set(given):
            yield call.lineno, f"{name} = DataLoader(...) without shuffle=True"


def softmax_last(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A softmax as the last layer of a Sequential, in what a forward returns, or around what goes into a loss."""
    yield from _last(tree, {"Softmax", "softmax"})


def sigmoid_last(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """A sigmoid in one of these places."""
    yield from _last(tree, {"Sigmoid", "sigmoid"})


def read_as_probabilities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Numbers are rounded, or compared with 0.5, and neither random ones nor what a sigmoid gives right there."""
    for node in ast.walk(tree):
        read: ast.expr | None = None
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt | ast.GtE):
            read = node.left if ast.unparse(node.comparators[0]) == "0.5" else None
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "round":
            decimals = node.args[1:] or node.keywords or any(isinstance(arg, ast.Constant) for arg in node.args)
            read = None if decimals else node  # with decimals a number is being printed
        if read is not None and not {"sigmoid", "rand", "random"} & {_name(call.func) for call in _calls(read)}:
            yield read.lineno, ast.unparse(node)


FACTS: dict[str, Callable[[ast.Module], Iterator[tuple[int, str]]]] = {
    look.__name__: look for look in (no_zero_grad, unshuffled_loader, softmax_last, sigmoid_last, read_as_probabilities)
}


def _last(tree: ast.Module, names: set[str]) -> Iterator[tuple[int, str]]:
    places: list[ast.expr] = []
    for call in _calls(tree):
        name = _name(call.func)
        if name == "Sequential" and call.args:
            places.append(call.args[-1])
        elif "loss" in name.lower() or name in ("criterion", "cross_entropy", "binary_cross_entropy_with_logits"):
            places += call.args[:1]
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "forward":
            places += [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
    for place in places:
        if isinstance(place, ast.Call) and _name(place.func) in names:
            yield place.lineno, ast.unparse(place)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _named(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls with the name that their result gets, by assignment or as an argument."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _pairs(target, node.value)
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Call) and node.arg:
            yield node.arg, node.value


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.Call]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _pairs(one, other)
    elif isinstance(value, ast.Call) and isinstance(target, ast.Name | ast.Attribute):
        yield _name(target), value


def _name(function: ast.expr) -> str:
    """The last part of a dotted name."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
