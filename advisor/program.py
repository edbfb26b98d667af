"""What is trained: a script with its arguments, or a function; read and checked here, never executed."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import ScriptError
from advisor.remedies import load_remedies
from advisor.script import find

ALWAYS = ("torch", "torchvision", "advisor.watching")
# Libraries that are slow to import and do nothing else on import: they are worth importing once for all trials.
# Left out: what starts threads or takes hold of a device when it is imported (tensorflow, jax, wandb, ray, mpi4py).
SLOW = frozenset({
    "PIL", "accelerate", "albumentations", "cv2", "datasets", "diffusers", "einops", "h5py", "lightning", "matplotlib",
    "numpy", "pandas", "pytorch_lightning", "scipy", "seaborn", "skimage", "sklearn", "timm", "tokenizers", "torch",
    "torch_geometric", "torchaudio", "torchmetrics", "torchvision", "tqdm", "transformers", "yaml",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Program:
    """A script, or a function without arguments; one of the two.

    script: absolute path
    text:   runs in the place of the script's own text, under the script's path
    """

    script: Path | None = None
    arguments: tuple[str, ...] = ()
    function: Callable[[], object] | None = None
    text: bytes | None = None

    @classmethod
    def from_script(cls, path: Path | str, arguments: tuple[str, ...] = ()) -> Program:
        """Raises: ScriptError for a script that is missing, is no Python, or cannot reach `advisor.watch`."""
        script = find(Path(path))
        if script.suffix != ".py":
            raise ScriptError("expected a Python file (.py)", context=str(path), hint="give the script that trains")
        tree = _parse(script)
        if not _names(tree) & {"watch", "exec", "__import__"} and all(map(_cannot_watch, _modules(ast.walk(tree)))):
            raise ScriptError(
                "this script never calls advisor.watch",
                context=str(path),
                hint="wrap its epoch loop: for epoch in advisor.watch(range(20), model, optimizer): …",
            )
        return cls(script, tuple(arguments))

    @property
    def name(self) -> str:
        """The script's file name, or the function's name."""
        if self.script is not None:
            return self.script.name
        function = _inner(self.function)
        return str(getattr(function, "__name__", type(function).__name__))

    @property
    def where(self) -> str:
        """The script's path, or the function's module and name: what tells one program from another."""
        inner = _inner(self.function)
        return str(self.script or f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', self.name)}")

    @property
    def folder(self) -> Path:
        """Where the script lies, or the module of the function; the working directory where it has none."""
        if self.script is not None:
            return self.script.parent
        module = sys.modules.get(getattr(_inner(self.function), "__module__", None) or "")
        file = getattr(module, "__file__", None)
        return Path(file).absolute().parent if file else Path.cwd()

    @property
    def fingerprint(self) -> str:
        """sha256 of the source: the script, or the file of the function, with the neighbours that it imports."""
        inner = _inner(self.function)
        module = sys.modules.get(getattr(inner, "__module__", None) or "")
        file = self.script or getattr(module, "__file__", None)
        if file and Path(file).suffix == ".py" and Path(file).is_file():
            return hashlib.sha256(b"".join(_sources(Path(file).absolute()))).hexdigest()
        try:  # a notebook's
            text = inspect.getsource(inner if inspect.isroutine(inner) else type(inner))
        except (OSError, TypeError):
            code = getattr(inner, "__code__", None)
            text = (
                "" if code is None else f"{code.co_code!r} {code.co_names} {[c for c in code.co_consts if c != code]}"
            )
        return hashlib.sha256(text.encode()).hexdigest()

    def preload(self) -> None:
        """Import what a trial would wait for: torch, advisor, and the slow libraries at the top of a script."""
        for name in ALWAYS:
            _import(name)
        load_remedies()
        if self.script is None:
            return
        own = {path.stem for path in self.folder.iterdir()}  # the script's neighbours go before what is installed
        top = _parse(self.script).body
        defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        at_top = (node for part in top if not isinstance(part, defined) for node in ast.walk(part))
        for name in _modules(at_top):
            first = name.partition(".")[0]
            if first in SLOW and first not in own:
                _import(name)


def _sources(first: Path) -> Iterator[bytes]:
    """A file, and what it imports from the folders that it and its importers lie in; each once, in order."""
    waiting, seen = [first], {first}
    while waiting:
        file = waiting.pop(0)
        source = file.read_bytes()
        yield source
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:  # its import will say so
            continue
        plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        taken = [(n.module, a.name) for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
        for parts in (name.split(".") for name in (*plain, *(".".join(filter(None, pair)) for pair in taken))):
            stems = [
                folder.joinpath(*parts[: n + 1]) for folder in (file.parent, first.parent) for n in range(len(parts))
            ]
            for path in (file for stem in stems for file in (Path(f"{stem}.py"), stem / "__init__.py")):
                if path not in seen and path.is_file():
                    waiting.append(path)
                    seen.add(path)


def _inner(function: object) -> object:
    """The function that a `functools.partial` calls."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _parse(script: Path) -> ast.Module:
    try:
        return ast.parse(script.read_bytes(), str(script))
    except SyntaxError as error:
        raise ScriptError(
            f"this is not valid Python: {error.msg}", context=f"{script}:{error.lineno}", hint="run it by itself first"
        ) from error
    except (OSError, ValueError) as error:
        raise ScriptError(f"cannot read the script: {error}", context=str(script)) from error


def _names(tree: ast.Module) -> set[str]:
    """Every name, attribute and imported name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.add(node.name.rpartition(".")[2])
    return found


def _modules(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Modules that are imported there, among them what `from` may name; "." for the script's neighbours."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." if node.level else node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _cannot_watch(module: str) -> bool:
    """Whether no module of that name could call `advisor.watch` for the script."""
    top = module.partition(".")[0]
    runs_others = top in ("importlib", "runpy", "subprocess")
    return not runs_others and (top in sys.stdlib_module_names or top in SLOW or top == "advisor")


def _import(name: str) -> None:
    """Import a module if there is one; what fails here fails again in the trial, where it is reported."""
    parent, _, last = name.rpartition(".")
    try:
        if parent:
            module = importlib.import_module(parent)
            if hasattr(module, last) or not hasattr(module, "__path__") or importlib.util.find_spec(name) is None:
                return
        importlib.import_module(name)
    except Exception:  # noqa: BLE001  see above; a library may raise anything when it is imported
        return
