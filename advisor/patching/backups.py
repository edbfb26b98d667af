"""Files and their new text -> written, with what stood there kept below `.advisor/applied`, so that it can be put back.

    .advisor/applied/train.py-1f3a…/1/change.json    which files, and a hash of what was written
                                      /0-train.py     the first of them as it was

Changes of one script are numbered; the last is undone first.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from advisor.errors import AdvisorError
from advisor.plan import Plan
from advisor.store import default_url

SHORT = 12  # hexadecimal digits of a hash that tell two paths apart: 48 bits


class Written(BaseModel):
    """A file that was written. hash: of what was written;  backup: its old text; None where there was no file."""

    model_config = ConfigDict(frozen=True)

    path: str
    hash: str
    backup: str | None = None


class Change(BaseModel):
    """Files that were written together. plan: that they hold."""

    model_config = ConfigDict(frozen=True)

    plan: Plan
    files: tuple[Written, ...]


def check_new(script: Path, plan: Plan) -> None:
    """Raises: AdvisorError where the script is as it was written for this very plan: it would be changed twice."""
    change = _last(script)
    now = _hash(script.read_bytes()) if script.exists() else ""
    if change is not None and change.plan == plan and any(file.hash == now for file in change.files):
        raise AdvisorError(
            "the script holds this plan already", context=str(script), hint="`advisor undo` takes it out again"
        )


def write(script: Path, plan: Plan, texts: Mapping[Path, bytes]) -> None:
    """Write files for a script, each as a whole, and keep what stood there.

    Raises: AdvisorError where a file cannot be written; those before it can be put back by `undo`.
    """
    try:
        folder = _folder(script) / str(max(_numbers(script), default=0) + 1)
        folder.mkdir(parents=True)
        written = []
        for number, (path, text) in enumerate(texts.items()):
            backup = folder / f"{number}-{path.name}" if path.exists() else None
            if backup is not None:
                shutil.copyfile(path, backup)
            written.append(Written(path=str(path), hash=_hash(text), backup=str(backup) if backup else None))
        (folder / "change.json").write_text(
            Change(plan=plan, files=tuple(written)).model_dump_json(indent=2), encoding="utf-8"
        )
        for path, text in texts.items():
            _replace(path, text)
    except OSError as error:
        raise AdvisorError(
            f"cannot write: {error}", context=str(script), hint="`advisor undo` puts back the rest"
        ) from error


def undo(script: Path) -> list[Path]:
    """Put back what the last change of a script replaced; the files. The script itself may be gone.

    Raises: AdvisorError where nothing was written, or a file is no longer what was written.
    """
    number = max(_numbers(script), default=0)
    folder = _folder(script) / str(number)
    if not number:
        raise AdvisorError(
            "nothing was written here that could be undone",
            context=str(script),
            hint=f"looked in {folder.parent}: run it in the directory where the change was made",
        )
    try:
        change = Change.model_validate_json((folder / "change.json").read_text(encoding="utf-8"))
        for file in change.files:
            _check(file)
        for file in change.files:
            if file.backup is not None:
                _replace(Path(file.path), Path(file.backup).read_bytes())
            else:
                Path(file.path).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except (OSError, ValidationError) as error:
        raise AdvisorError(
            f"cannot put it back: {error}", context=str(folder), hint="its files are the old text"
        ) from error
    return [Path(file.path) for file in change.files]


def _check(file: Written) -> None:
    """Raises: AdvisorError where somebody has changed the file since."""
    path = Path(file.path)
    now = path.read_bytes() if path.exists() else None
    before = Path(file.backup).read_bytes() if file.backup is not None else None
    if now == before or (now is not None and _hash(now) == file.hash):
        return
    what = "expected the file that advisor wrote, found another text" if now is not None else "the file is gone"
    old = f"the text before is in {file.backup}" if file.backup else "delete it yourself"
    raise AdvisorError(what, context=file.path, hint=f"it would be lost, so nothing was undone; {old}")


def _replace(path: Path, text: bytes) -> None:
    """All or nothing, with the mode of the file that it replaces; a link keeps pointing to it."""
    real = path.resolve()
    new = real.with_name(f".{real.name}.advisor")
    new.write_bytes(text)
    if real.exists():
        shutil.copymode(real, new)
    new.replace(real)


def _last(script: Path) -> Change | None:
    number = max(_numbers(script), default=0)
    try:
        return Change.model_validate_json((_folder(script) / str(number) / "change.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


def _numbers(script: Path) -> list[int]:
    folder = _folder(script)
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []


def _folder(script: Path) -> Path:
    """Beside the store where that is a file, else where it would be."""
    url, path = default_url(), script.absolute()
    store = Path.cwd() / ".advisor" if "://" in url else Path(url).absolute().parent
    return store / "applied" / f"{path.name}-{_hash(str(path).encode())[:SHORT]}"


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
