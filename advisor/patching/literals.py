"""An argument's expression -> the literal that decides it: itself, a constant, or the default of an option or of a
function's parameter.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

import libcst as cst

from advisor.patching.declined import Declined
from advisor.patching.source import Source

DIGITS = 12  # of a number that is written out: enough for float64 but for its last bits, which are noise of a product
SHOWING = frozenset({"print"})  # calls that a constant may be given to besides


def literal(source: Source, value: cst.BaseExpression, what: str, *, also: Collection[str] = ()) -> cst.CSTNode:
    """The node to change: where something else depends on the constant too, its name in this place only.

    also: calls (by their last name) that may use the constant and follow the change

    Raises: Declined for what is computed.
    """
    if _is_literal(value):
        return value
    if isinstance(value, cst.Attribute) and isinstance(value.value, cst.Name):
        return _default(source, value, what, SHOWING | set(also))
    if not isinstance(value, cst.Name):
        raise Declined(f"{what} is computed at line {source.line(value)}: `{source.of(value)}`")
    uses = list(_uses(source, value.value))
    default = _parameter(source, value, uses)
    if default is not None:
        return default
    definitions = [parent for name in uses if (parent := _assignment(source, name)) is not None]
    if len(definitions) != 1 or not _is_literal(definitions[0].value):
        raise Declined(f"{what} is `{value.value}`, which is no constant that is set once to a number")
    definition = definitions[0]
    for name in uses:
        if name is value or source.statement(name) is source.statement(definition):
            continue
        if not _given_to(source, name, SHOWING | set(also)):
            return value
    return definition.value


def number(source: Source, node: cst.CSTNode) -> float:
    """The value of a literal."""
    try:
        value = ast.literal_eval(source.of(node))
    except (ValueError, SyntaxError):
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Declined(f"line {source.line(node)} computes `{source.of(node)}`")
    return value


def written(number: float) -> str:
    """A number as a person would write it.

    >>> written(0.1 * 0.01), written(1 / 3), written(3.0)
    ('0.001', '0.333333333333', '3.0')
    """
    return repr(float(f"{number:.{DIGITS}g}"))


def _default(source: Source, value: cst.Attribute, what: str, may_use: Collection[str]) -> cst.CSTNode:
    """What `parser.add_argument("--lr", default=…)` says for `args.lr`; the command line may still say otherwise.

    Raises: Declined where there is no such call, or something else uses the option.
    """
    text, name = source.of(value), value.attr.value
    options = {f"--{name}", f"--{name.replace('_', '-')}"}
    for node in source.all(cst.Attribute):
        if node is not value and source.of(node) == text and not _given_to(source, node, may_use):
            raise Declined(f"{what} is `{text}`, which line {source.line(node)} uses too")
    defaults = [
        arg.value
        for call in source.all(cst.Call)
        if isinstance(call.func, cst.Attribute) and call.func.attr.value == "add_argument"
        if options & {source.of(arg.value).strip("'\"") for arg in call.args if arg.keyword is None}
        for arg in call.args
        if arg.keyword is not None and arg.keyword.value == "default"
    ]
    if len(defaults) != 1 or not _is_literal(defaults[0]):
        raise Declined(f"{what} is computed at line {source.line(value)}: `{text}`")
    return defaults[0]


def _parameter(source: Source, value: cst.Name, uses: Collection[cst.Name]) -> cst.CSTNode | None:
    """What `def f(…, lr=…)` says for an `lr` that f uses once; a caller may say otherwise: the proof shows it."""
    function = source.scope(value)
    if not isinstance(function, cst.FunctionDef):
        return None
    given = (*function.params.params, *function.params.kwonly_params)
    found = next((one for one in given if one.name.value == value.value), None)
    if found is None or found.default is None or not _is_literal(found.default):
        return None
    other = [name for name in uses if name not in (value, found.name) and function in source.parents(name)]
    return None if other else found.default


def _is_literal(value: cst.BaseExpression) -> bool:
    if isinstance(value, cst.UnaryOperation):
        return _is_literal(value.expression)
    if isinstance(value, cst.BinaryOperation):
        return _is_literal(value.left) and _is_literal(value.right)
    return isinstance(value, cst.Integer | cst.Float)


def _uses(source: Source, name: str) -> Iterator[cst.Name]:
    """Where a variable of that name is meant, in any scope: neither `x.name` nor `f(name=…)`."""
    for node in source.all(cst.Name):
        parent = next(source.parents(node))
        attribute = isinstance(parent, cst.Attribute) and parent.attr is node
        keyword = isinstance(parent, cst.Arg) and parent.keyword is node
        if node.value == name and not attribute and not keyword:
            yield node


def _assignment(source: Source, name: cst.Name) -> cst.Assign | None:
    """`NAME = …`, where the name is what is assigned to."""
    target, statement = (*source.parents(name), None, None)[:2]
    if isinstance(target, cst.AssignTarget) and isinstance(statement, cst.Assign) and len(statement.targets) == 1:
        return statement
    return None


def _given_to(source: Source, node: cst.CSTNode, names: Collection[str]) -> bool:
    """Whether the innermost call around a node is one of these."""
    for parent in source.parents(node):
        if isinstance(parent, cst.Call):
            function = parent.func
            last = function.attr if isinstance(function, cst.Attribute) else function
            return isinstance(last, cst.Name) and last.value in names
    return False
