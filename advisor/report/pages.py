"""The name of a rule -> its page, read from the file without running it: opening a report imports nobody's code."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

from advisor.config import load_config
from advisor.errors import AdvisorError
from advisor.rulebook import own_folder


def rule_page(rule: str) -> str | None:
    """The docstring of the rule's file, in our folder or in one of the user's; None where there is none to read."""
    if not rule.isidentifier():  # a name from a store must not become a path
        return None
    for folder in _folders():
        path = folder / f"{rule}.py"
        try:
            page = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        except (OSError, SyntaxError, ValueError):
            continue
        if page:
            return inspect.cleandoc(page)
    return None


def _folders() -> list[Path]:
    folders: list[Path] = []
    try:
        folders.append(own_folder())
        folders += load_config().rules_folders
    except AdvisorError:  # a broken configuration is for `advisor run` to report; here it costs a page
        pass
    return folders
