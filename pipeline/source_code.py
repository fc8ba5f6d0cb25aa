"""Which code makes something: what a function of the graph reaches, as one hash that comments do not change.

Inside of ``pipeline`` the functions and classes count that are used, one by one. Of a library's modules all of the file
counts, and all that it imports from this project, also where that is imported late or by a name put together.
"""

import ast
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.storage import own_caches, write_file

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("crawlers", "labeling", "modeling")
PACKAGES = (*LIBRARIES, "pipeline")
# What decides where things are kept, what people see of them, and what is said of errors, not what tables hold. The
# schema of a table and the settings that are read count by themselves.
NOT_FOLLOWED = frozenset(
    {
        "crawlers.errors",
        "crawlers.tables",
        "labeling.errors",
        "labeling.figures",
        "labeling.tables",
        "modeling.errors",
        "modeling.figures",
        "modeling.figures_calibration",
        "modeling.figures_graph",
        "modeling.figures_operation",
        "modeling.montages",
        "modeling.settings",
        "modeling.tables",
        "pipeline.crawl_checks",
        "pipeline.locks",
        "pipeline.metadata",
        "pipeline.progress",
        "pipeline.resources",
        "pipeline.settings",
        "pipeline.storage",
        "pipeline.table_hash",
        "pipeline.tables",
    }
)


@dataclass(frozen=True)
class Code:
    """What a function reaches."""

    version: str  # hash of the code, 16 hex digits
    modules: frozenset[str]  # that some of it is in
    settings: frozenset[str]  # attributes of anything called ``settings`` that the graph's own code reads


@dataclass(frozen=True)
class _Module:
    """A module's definitions and imports by name, those inside of functions among them."""

    tree: ast.Module
    definitions: dict[str, ast.stmt]
    imports: dict[str, tuple[str, str | None]]  # name -> (module, name in it; None: the module itself)
    packages: tuple[str, ...]  # all modules of which it may import by a name put together


@dataclass(frozen=True)
class _Piece:
    """What one definition of the graph's own code holds and uses."""

    hash: str
    used: frozenset[tuple[str, str | None]]  # (module, name in it)
    settings: frozenset[str]


def codes_of(functions: Sequence[Callable[..., Any]]) -> list[Code]:
    """Return what each function reaches; known from the last time where no file of the project has changed since."""
    known, wanted = _remembered(), {f"{one.__module__}:{one.__qualname__}": one for one in functions}
    if new := {name: code_of(function) for name, function in wanted.items() if name not in known}:
        known.update(new)
        with contextlib.suppress(OSError, RuntimeError):  # without a folder of its own a user looks at the code anew
            _remember(known)
    return [known[name] for name in wanted]


def code_of(function: Callable[..., Any]) -> Code:
    """Return what ``function``, which may stand inside of another one, reaches."""
    module, names = function.__module__, function.__qualname__.split(".<locals>.")
    node: ast.AST = _read(module).tree
    for name in names:
        node = next(child for child in ast.walk(node) if getattr(child, "name", None) == name)
    return _gather(module, node)


@cache
def _state() -> str:
    """Return the hash of all source files when this process first looked: what it has read and imported since."""
    return _hash_of_sources()


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _remembered() -> dict[str, Code]:
    """Return what was found of the present source files before; to be added to."""
    try:
        content = json.loads(_memory().read_bytes())
    except (OSError, RuntimeError, ValueError):  # none yet, no home folder, or damaged
        return {}
    if content.get("state") != _state():
        return {}
    return {
        name: Code(version, frozenset(modules), frozenset(settings))
        for name, (version, modules, settings) in content["codes"].items()
    }


def _memory() -> Path:
    """Return the file of the user that remembers what was found of this installation, whoever installed it."""
    return own_caches() / "source_code" / f"{hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]}.json"


def _remember(codes: Mapping[str, Code]) -> None:
    if _hash_of_sources() != _state():
        return  # files were edited since: what was read of them may be either
    rows = {name: (code.version, sorted(code.modules), sorted(code.settings)) for name, code in codes.items()}
    write_file(_memory(), json.dumps({"state": _state(), "codes": rows}).encode())


def _gather(module: str, start: ast.AST) -> Code:
    parts: dict[tuple[str, str], str] = {}  # (module, name) -> its hash
    settings: set[str] = set()
    todo = [(module, "", _piece(module, start))]
    while todo:
        module, name, piece = todo.pop()
        if (module, name) in parts:
            continue
        parts[module, name] = piece.hash
        settings |= piece.settings
        for used_module, used_name in piece.used - {(module, name)}:
            if used_module in NOT_FOLLOWED:
                continue
            if used_module.partition(".")[0] == "pipeline":
                if used_name in _read(used_module).definitions:
                    todo.append((used_module, used_name or "", _definition(used_module, used_name or "")))
            else:
                parts.update({(library, ""): _hash_of_file(library) for library in _closure(used_module)})
    digest = hashlib.sha256("\n".join(parts[key] for key in sorted(parts)).encode())
    return Code(digest.hexdigest()[:16], frozenset(module for module, _ in parts), frozenset(settings))


@cache
def _definition(module: str, name: str) -> _Piece:
    return _piece(module, _read(module).definitions[name])


def _piece(module: str, node: ast.AST) -> _Piece:
    return _Piece(_hash_of(node), frozenset(_used(module, node)), frozenset(_settings_read(node)))


def _used(module: str, node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield what a piece of the graph's own code uses of this project: (module, name in it)."""
    here = _read(module)
    for child in _body_of(node):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name):
            imported = here.imports.get(child.value.id)
            if imported is not None and imported[1] is None:
                yield imported[0], child.attr
        elif isinstance(child, ast.Name):
            if child.id in here.definitions:
                yield module, child.id
            elif child.id in here.imports:
                yield here.imports[child.id]


def _body_of(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through a definition without its decorators, which say where an asset stands, not what it holds."""
    todo = [node]
    while todo:
        for field, value in ast.iter_fields(todo.pop()):
            if field == "decorator_list":
                continue
            values = value if isinstance(value, list) else [value]
            children = [child for child in values if isinstance(child, ast.AST)]
            yield from children
            todo += children


def _settings_read(node: ast.AST) -> Iterator[str]:
    for child in _body_of(node):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "settings":
            yield child.attr


@cache
def _closure(module: str) -> frozenset[str]:
    """Return a library's module and all modules of the libraries that it imports, however far away."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen or name in NOT_FOLLOWED or name.partition(".")[0] not in LIBRARIES:
            continue
        seen.add(name)
        read = _read(name)
        todo += [imported for imported, _ in read.imports.values()]
        todo += [one for package in read.packages for one in _modules_of(package)]
    return frozenset(seen)


@cache
def _read(module: str) -> _Module:
    tree = _without_docstrings(ast.parse(_file_of(module).read_bytes()))
    definitions: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                definitions.update({name.id: node for name in ast.walk(target) if isinstance(name, ast.Name)})
    imports: dict[str, tuple[str, str | None]] = {}
    packages: list[str] = []
    for child in ast.walk(tree):
        if isinstance(child, ast.ImportFrom) and child.module and child.module.partition(".")[0] in PACKAGES:
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                is_module = _path_of(inner) is not None
                imports[alias.asname or alias.name] = (inner, None) if is_module else (child.module, alias.name)
        elif isinstance(child, ast.JoinedStr) and isinstance(child.values[0], ast.Constant):
            start = str(child.values[0].value)  # import_module(f"crawlers.networks.{name}")
            if start.endswith(".") and start.partition(".")[0] in LIBRARIES:
                packages.append(start.rstrip("."))
    return _Module(tree, definitions, imports, tuple(packages))


def _modules_of(package: str) -> list[str]:
    return [f"{package}.{path.stem}" for path in sorted((ROOT / package.replace(".", "/")).glob("[!_]*.py"))]


@cache
def _hash_of_file(module: str) -> str:
    return _hash_of(_read(module).tree)


def _hash_of(node: ast.AST) -> str:
    """Return the hash of a piece of code; comments, line breaks, and its own decorators do not count."""
    fields = [(name, value) for name, value in ast.iter_fields(node) if name != "decorator_list"]
    children = [child for _, value in fields for child in (value if isinstance(value, list) else [value])]
    text = "\n".join(ast.dump(child) if isinstance(child, ast.AST) else repr(child) for child in children)
    return hashlib.sha256(text.replace(", type_params=[]", "").encode()).hexdigest()  # which Python 3.12 adds


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.Pass()
    return tree


def _path_of(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _file_of(module: str) -> Path:
    path = _path_of(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is imported, but has no file below {ROOT}")
    return path
