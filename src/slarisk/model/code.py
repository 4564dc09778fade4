"""The source files that a registered model carries: its loader and what that imports."""

from __future__ import annotations

import ast
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import slarisk

if TYPE_CHECKING:
    from collections.abc import Iterator

LOADER = "slarisk.model.pyfunc"
_SOURCE = Path(slarisk.__file__).parents[1]


@cache
def list_model_code() -> tuple[str, ...]:
    """List the files that :data:`LOADER` imports, directly or through others, itself included.

    Imports inside functions count, imports for type checkers do not.

    Returns
    -------
    tuple of str
        Sorted paths below the folder that holds the package, the ``__init__.py`` of each package
        among them.
    """
    found: set[Path] = set()
    pending = [LOADER]
    while pending:
        module = pending.pop()
        file = _find_file(module)
        if file is not None and file not in found:
            found.add(file)
            pending += [module.rpartition(".")[0], *_list_imports(ast.parse(file.read_text()))]
    return tuple(sorted(file.relative_to(_SOURCE).as_posix() for file in found))


def copy_model_code(folder: Path) -> Path:
    """Copy the files of :func:`list_model_code` into a folder; gives the package's path there."""
    for name in list_model_code():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_SOURCE / name, folder / name)
    return folder / slarisk.__name__


def _find_file(module: str) -> Path | None:
    """Find the file of a module of this package; None for any other name."""
    if module.partition(".")[0] != slarisk.__name__:
        return None
    path = _SOURCE.joinpath(*module.split("."))
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def _list_imports(node: ast.AST) -> Iterator[str]:
    """Give the names a node imports: modules, and what is imported from them."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        for statement in node.orelse:
            yield from _list_imports(statement)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _list_imports(child)
