"""What rich renders -> the terminal, or plain lines where nobody looks at it as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

PIPED = 120  # columns where nobody said how many there are: a table on one line a row


def show(what: RenderableType) -> None:
    """Print it."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        console.print(what)
        return
    piped = Console(width=PIPED)
    with piped.capture() as captured:
        piped.print(what)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
