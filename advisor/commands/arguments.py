"""Words that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Script = Annotated[Path, typer.Argument(help="A training script that calls advisor.watch.", show_default=False)]
Arguments = Annotated[
    list[str] | None, typer.Argument(help="For the script; write them after `--`.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
