"""Making, deleting, moving and linking as a trial asks for it -> the same in scratch; originals are only hidden.

Each function takes the place of the one of `os` with its name and raises what that raises.
"""

from __future__ import annotations

import errno
import os
import shutil

from advisor.overlay import Overlay, error


def mkdir(overlay: Overlay, path: str, mode: int = 0o777) -> None:
    key = overlay.key(path)
    if overlay.passes(key):
        os.mkdir(path, mode)
        overlay.own(key)
    elif overlay.where(key) is not None:
        raise error(errno.EEXIST, path)
    else:
        os.mkdir(overlay.shadow(key, path), mode)


def remove(overlay: Overlay, path: str) -> None:
    key = overlay.key(path)
    where = overlay.where(key)
    if where is None:
        raise error(errno.ENOENT, path)
    if overlay.passes(key):
        os.remove(path)
    elif os.path.isdir(where) and not os.path.islink(where):
        raise error(errno.EISDIR, path)
    else:
        _drop(overlay, key)


def rmdir(overlay: Overlay, path: str) -> None:
    key = overlay.key(path)
    if overlay.passes(key):
        os.rmdir(path)
        return
    names = overlay.names(path)
    if names if names is not None else os.listdir(path):
        raise error(errno.ENOTEMPTY, path)
    _drop(overlay, key)


def rename(overlay: Overlay, source: str, target: str) -> None:
    """Move a file or a folder; a file in the target's place is replaced."""
    old, new = overlay.key(source), overlay.key(target)
    where, there = overlay.where(old), overlay.where(new)
    if where is None:
        raise error(errno.ENOENT, source)
    if overlay.passes(old) and overlay.passes(new):
        os.replace(source, target)
        overlay.own(new)
        return
    if old == new:
        return
    if there is not None and os.path.isdir(there) != os.path.isdir(where):
        raise error(errno.EISDIR if os.path.isdir(there) else errno.ENOTDIR, target)
    if overlay.passes(new):
        overlay.own(new)
        to = new
    else:
        if there is not None and os.path.isdir(there):
            rmdir(overlay, target)
        to = overlay.shadow(new, target)
    if where != old and not (os.path.isdir(where) and overlay.original(old)):
        shutil.move(where, to)  # nothing of the user's in it: a large checkpoint moves without being copied
    else:
        _copy(overlay, old, to)
    _drop(overlay, old)


def symlink(overlay: Overlay, source: str, target: str) -> None:
    """Make a link at `target`; what it says is kept as it is, and names the user's path."""
    key = overlay.key(target)
    if overlay.passes(key):
        os.symlink(source, target)
        overlay.own(key)
    elif overlay.where(key) is not None:
        raise error(errno.EEXIST, target)
    else:
        os.symlink(source, overlay.shadow(key, target))


def link(overlay: Overlay, source: str, target: str) -> None:
    """A hard link between copies; a file of the user's gets no second name."""
    key = overlay.key(target)
    if overlay.where(key) is not None:
        raise error(errno.EEXIST, target)
    if overlay.passes(key):
        shutil.copy2(overlay.reading(source), target)
        overlay.own(key)
    elif overlay.passes(overlay.key(source)):
        shutil.copy2(source, overlay.shadow(key, target))
    else:
        os.link(overlay.writing(source, keep=True), overlay.shadow(key, target))


def _copy(overlay: Overlay, key: str, to: str) -> None:
    """What the trial sees at a key, folders with what it sees in them."""
    where = overlay.where(key)
    assert where is not None  # callers look first
    if os.path.islink(where) or not os.path.isdir(where):
        if os.path.lexists(to):
            os.remove(to)
        shutil.copy2(where, to, follow_symlinks=False)
        return
    os.makedirs(to, exist_ok=True)
    names = overlay.names(key)
    for name in names if names is not None else os.listdir(key):
        _copy(overlay, f"{key}/{name}", f"{to}/{name}")


def _drop(overlay: Overlay, key: str) -> None:
    """Nothing is seen at a key from now on; an original is only hidden."""
    passes = overlay.passes(key)
    for path in (overlay.files + key, *((key,) if passes else ())):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
    if not passes and os.path.lexists(key):
        overlay.hide(key)
