"""The command line: words in, text on the terminal and an exit code out. The commands are in `advisor.commands`."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from advisor import __version__
from advisor.commands import learn, look, patch, train
from advisor.errors import AdvisorError
from advisor.script import INTERRUPTED, show

EXIT_CODES = """Exit codes:
    0  done
    2  wrong usage, or an input that cannot be used
    3  the script is not there, raised, or never called advisor.watch
    4  the store
    5  a rule
    6  a plan
    7  a remedy found nothing to change
  130  interrupted
`advisor run` ends with the script's own code."""

FULL = (errno.ENOSPC, errno.EDQUOT)

app = typer.Typer(
    name="advisor",
    help="Watches a PyTorch training run, says what is wrong, tries fixes, and keeps what matched seeds prove.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `advisor`: every error is one message and an exit code; --debug shows where it came from."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(args=words, prog_name="advisor", standalone_mode=False) or 0
        sys.stdout.flush()
        sys.exit(code)
    except AdvisorError as error:
        if os.environ.get("ADVISOR_DEBUG"):
            raise
        show(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in FULL:
            raise
        show(AdvisorError(f"cannot write: {error.strerror}", context=str(error.filename or "the output")))
        _drop_output()
        sys.exit(AdvisorError.exit_code)
    except Exception as error:
        if not hasattr(error, "format_message"):  # what the parser of the command line raises has it
            raise
        message = str(error.format_message())
        takes_a_script = words[0] in ("run", "fix", "apply") and "No such option" in message
        hint = "options of the script go after `--`; " if takes_a_script else ""
        show(AdvisorError(message, hint=f"{hint}`advisor --help`"))
        sys.exit(AdvisorError.exit_code)


def _drop_output() -> None:
    """What could not be written is not tried again when Python ends."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(asked: bool) -> None:
    if asked:
        print(f"advisor {__version__}")
        raise typer.Exit


def _debug(asked: bool) -> None:
    if asked:
        os.environ["ADVISOR_DEBUG"] = "1"


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", callback=_debug, help="Show where an error comes from (also ADVISOR_DEBUG=1).")
    ] = False,
) -> None:
    """What holds for every command."""


for panel in (train, patch, look, learn):
    app.add_typer(panel.app)


if __name__ == "__main__":
    main()
