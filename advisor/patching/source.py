"""A script's text and places in it -> its nodes (LibCST), and the text with small pieces replaced.

A change is a piece of text for a span of bytes, so that whatever it does not touch stays as it was: comments, quotes,
tabs, line ends. Sites of the run keep pointing at their calls while the text around them changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper, ParentNodeProvider

from advisor.call_sites import Site
from advisor.errors import ScriptError
from advisor.patching.declined import Declined

BOM = b"\xef\xbb\xbf"
KEEP = 'keep the plan: advisor.watch(..., plan="advisor-plan.toml")'

Node = TypeVar("Node", bound=cst.CSTNode)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Text in the place of the bytes from `start` to `end`; an insertion where they are the same."""

    start: int
    end: int
    text: str

    @property
    def growth(self) -> int:
        return len(self.text.encode()) - (self.end - self.start)


class Source:
    """One state of a script. `changed` gives the next one; nothing is ever changed in place.

    path: of the script, for messages and to tell its sites from those in other files

    Raises: ScriptError where the text is not valid Python in UTF-8.
    """

    def __init__(
        self, path: Path, text: bytes, *, _before: tuple[Source, tuple[Replacement, ...]] | None = None
    ) -> None:
        self.path, self.text, self._before = path, text, _before
        self._body = text.removeprefix(BOM)
        self._module = _parse(path, text)

    # ------------------------------------------------------------------------------------------------ looking

    def call(self, site: Site | None, what: str) -> cst.Call:
        """The call at a site. Raises: Declined where it is not in this script or cannot be told from others."""
        self._check(site, what)
        assert site is not None  # mypy: checked just now
        end = self._moved(site.end_line, site.end_column, ends=True)  # no two calls end at the same place
        for node in self.all(cst.Call):
            if self.span(node)[1] == end:
                return node
        raise Declined(f"the call that made {what} was not found at line {site.line}")

    def loop(self, site: Site | None, what: str) -> cst.For:
        """The `for` whose header a site is in."""
        self._check(site, what)
        assert site is not None  # mypy: checked just now
        start = self._moved(site.line, site.column)
        found = [node for node in self.all(cst.For) if self.span(node)[0] <= start < self.span(node.body)[0]]
        if not found:
            raise Declined(f"line {site.line} is no `for` over {what}")
        return found[-1]

    def inside(self, site: Site, node: cst.CSTNode) -> bool:
        """Whether a site lies in the text of a node."""
        start, end = self.span(node)
        return site.file == str(self.path) and start <= self._moved(site.line, site.column) < end

    def all(self, kind: type[Node]) -> Iterator[Node]:
        """All nodes of a kind, outer ones before those inside them."""
        return (node for node in self._spans if isinstance(node, kind))

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        found = self._spans[node]
        return found.start, found.start + found.length

    def of(self, node: cst.CSTNode) -> str:
        """A node's text."""
        start, end = self.span(node)
        return self._body[start:end].decode()

    def line(self, node: cst.CSTNode) -> int:
        """The number of its first line."""
        return len(self._starts(self.span(node)[0]))

    def parents(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """What a node stands in, from the inside out."""
        while not isinstance(node, cst.Module):
            node = self._parents[node]
            yield node

    def scope(self, node: cst.CSTNode) -> cst.CSTNode:
        """The function, class or module whose names a node sees as its own."""
        kinds = (cst.FunctionDef, cst.ClassDef, cst.Lambda, cst.Module)
        return next(parent for parent in self.parents(node) if isinstance(parent, kinds))

    def statement(self, node: cst.CSTNode) -> cst.BaseStatement:
        """The statement on lines of its own that a node belongs to. Raises: Declined for `if x: y` on one line."""
        for parent in (node, *self.parents(node)):
            if isinstance(parent, cst.SimpleStatementSuite):
                break
            if isinstance(parent, cst.BaseStatement) and isinstance(
                self._parents[parent], cst.IndentedBlock | cst.Module
            ):
                return parent
        raise Declined(f"line {self.line(node)} holds a block on one line")

    # ---------------------------------------------------------------------------------------------- rewriting

    def replaced(self, node: cst.CSTNode, text: str) -> Replacement:
        start, end = self.span(node)
        return Replacement(start, end, text)

    def before(self, statement: cst.CSTNode, line: str) -> Replacement:
        """A line of code before a statement, as far in as the statement is."""
        start = self.span(statement)[0]
        begin = self._starts(start)[-1]
        indent = self._body[begin:start].decode()
        if indent.strip():
            raise Declined(f"line {self.line(statement)} holds two statements")
        return Replacement(begin, begin, f"{indent}{line}{self._module.default_newline}")

    def after(self, statement: cst.CSTNode, line: str) -> Replacement:
        """A line of code behind a statement, as far in as the statement is."""
        start, end = self.span(statement)
        begin = self._starts(start)[-1]
        indent = self._body[begin:start].decode()
        rest = self._body[end:].splitlines()[:1]
        if indent.strip() or any(text.strip() and not text.lstrip().startswith(b"#") for text in rest):
            raise Declined(f"line {self.line(statement)} holds two statements")
        stop = end + len(rest[0]) if rest else end
        return Replacement(stop, stop, f"{self._module.default_newline}{indent}{line}")

    def without(self, statement: cst.CSTNode) -> Replacement:
        """A statement taken away with its lines."""
        start, end = self.span(statement)
        begin, rest = self._starts(start)[-1], self._body[end:].splitlines(keepends=True)[:1]
        if self._body[begin:start].strip() or any(text.strip() for text in rest):
            raise Declined(f"line {self.line(statement)} holds more than one statement")
        return Replacement(begin, end + sum(map(len, rest)), "")

    def gap(self, one: cst.CSTNode, other: cst.CSTNode) -> str:
        """The text between two nodes."""
        return self._body[self.span(one)[1] : self.span(other)[0]].decode()

    def changed(self, replacements: Iterable[Replacement]) -> Source:
        """The source with these pieces replaced. Raises: Declined where the result would not be valid Python."""
        done = tuple(sorted(replacements, key=lambda piece: (piece.start, piece.end)))
        body, at = b"", 0
        for piece in done:
            if piece.start < at:
                raise Declined("two changes touch the same text")
            body += self._body[at : piece.start] + piece.text.encode()
            at = piece.end
        body += self._body[at:]
        text = (BOM if self.text.startswith(BOM) else b"") + body
        try:
            return Source(self.path, text, _before=(self, done))
        except ScriptError as error:
            raise Declined(f"the edited script would not be valid Python ({error.what})") from error

    # ------------------------------------------------------------------------------------------------- inside

    def _check(self, site: Site | None, what: str) -> None:
        if site is None:
            raise Declined(f"where {what} is made was not seen in the run")
        if site.file != str(self.path):
            raise Declined(f"{what} is made in {Path(site.file).name}:{site.line}, outside of the script")
        if not site.end_line:
            raise Declined("Python was told to keep no columns; unset PYTHONNODEBUGRANGES")

    def _moved(self, line: int, column: int, *, ends: bool = False) -> int:
        """The offset now of a place in the script as it ran. ends: the place is the end of a piece, not its start."""
        if self._before is None:
            return self._lines[line - 1] + column
        earlier, pieces = self._before
        place = earlier._moved(line, column, ends=ends)
        # What is put in right before a piece moves its start; what is put in right behind it leaves its end alone.
        return place + sum(p.growth for p in pieces if (p.start < place if ends else p.end <= place))

    def _starts(self, offset: int) -> list[int]:
        """Where the lines up to an offset start."""
        return [start for start in self._lines if start <= offset]

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(found.end() for found in re.finditer(rb"\r\n|\r|\n", self._body))]

    @cached_property
    def _wrapper(self) -> MetadataWrapper:
        return MetadataWrapper(self._module, unsafe_skip_copy=True)

    @cached_property
    def _spans(self) -> Mapping[cst.CSTNode, CodeSpan]:
        return self._wrapper.resolve(ByteSpanPositionProvider)

    @cached_property
    def _parents(self) -> Mapping[cst.CSTNode, cst.CSTNode]:
        return self._wrapper.resolve(ParentNodeProvider)


def _parse(path: Path, text: bytes) -> cst.Module:
    try:
        module = cst.parse_module(text)
    except cst.ParserSyntaxError as error:
        raise ScriptError(
            f"this is not valid Python: {error.message}",
            context=f"{path}:{error.raw_line}",
            hint="run it by itself first",
        ) from error
    except (UnicodeDecodeError, LookupError, SyntaxError) as error:
        raise ScriptError("expected text in UTF-8, found other bytes", context=str(path), hint=KEEP) from error
    if module.encoding not in ("utf-8", "utf-8-sig"):
        raise ScriptError(f"expected text in UTF-8, found {module.encoding}", context=str(path), hint=KEEP)
    if module.bytes != text:
        raise ScriptError("the text does not survive being parsed and written again", context=str(path), hint=KEEP)
    return module
