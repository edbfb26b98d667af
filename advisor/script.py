"""A script's path and arguments -> it runs as `python script.py` would. What `advisor run` starts as a child process.

    python -P -m advisor.script train.py --lr 0.1

A wrong call of advisor in it is one message and its exit code; what the script itself raises is its own traceback,
without our frames, and exit code 1.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from advisor.errors import AdvisorError, ScriptError

MOST_NAMES = 6  # of files in a hint: a line or two
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def find(script: Path) -> Path:
    """The script's absolute path. Raises: ScriptError where there is no such file."""
    if script.is_file():
        return script.absolute()
    what = "this is a folder" if script.is_dir() else "there is no such file"
    there = sorted(path.name for path in script.absolute().parent.glob("*.py"))
    close = difflib.get_close_matches(script.stem, [name.removesuffix(".py") for name in there], n=1)
    hint = f"the working directory is {Path.cwd()}"
    if close:
        hint = f"did you mean {script.with_name(f'{close[0]}.py')}?"
    elif there:
        more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
        hint = f"the Python files here are {', '.join(there[:MOST_NAMES])}{more}"
    raise ScriptError(f"expected a Python script, but {what}", context=str(script), hint=hint)


def show(error: AdvisorError) -> None:
    """The message and the next move, on stderr."""
    print(f"error: {error.context + ': ' if error.context else ''}{error.what}", file=sys.stderr)
    if error.hint:
        print(f"hint:  {error.hint}", file=sys.stderr)


def main(command: Sequence[str]) -> int:
    """Run `command` (the script's path, then its arguments); the exit code."""
    path = Path(command[0])
    sys.argv = list(command)
    sys.path.insert(0, str(path.absolute().parent))  # in the place of the working directory, which -P keeps out
    module = ModuleType("__main__")
    module.__file__ = str(path)
    sys.modules["__main__"] = module  # pickle and multiprocessing look for the script's classes there
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except AdvisorError as error:
        if os.environ.get("ADVISOR_DEBUG"):
            raise
        show(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the script's own, shown as Python shows it
        trace = error.__traceback__.tb_next if error.__traceback__ is not None else None  # without this frame
        sys.excepthook(type(error), error.with_traceback(trace), trace)  # the script's own, where it has set one
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
