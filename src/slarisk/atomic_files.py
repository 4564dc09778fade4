"""Write files that appear complete under their names, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def write_whole(path: Path, content: bytes) -> None:
    """Replace one file: see :func:`replace_files`."""
    with replace_files([path]) as (part,), explain_os_errors(path):
        part.write_bytes(content)


@contextmanager
def replace_files(paths: Sequence[Path], folder: Path | None = None) -> Iterator[list[Path]]:
    """Give a temporary file for each path; at the end they replace the files, in this order.

    After an error or an interruption no file has changed. The temporary files are next to their
    paths, or in ``folder`` if that is on the same file system.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    parts: list[Path] = []
    try:
        for path in paths:
            with explain_os_errors(path):
                parts.append(_make_part(path, folder))
        yield parts
        for part, path in zip(parts, paths, strict=True):
            with explain_os_errors(path), part.open("rb+") as stream:
                os.fsync(stream.fileno())
                _set_default_mode(part)
        _rename_all(list(zip(parts, paths, strict=True)))
    finally:
        for part in parts:
            with suppress(FileNotFoundError):
                part.unlink()


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def _make_part(path: Path, folder: Path | None) -> Path:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder is None or folder.stat().st_dev != path.parent.stat().st_dev:
        folder = path.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    return Path(name)


def _rename_all(finished: list[tuple[Path, Path]]) -> None:
    """Rename finished parts to their paths; if one fails, restore the files before it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as undo:
        for number, (part, path) in enumerate(finished, start=1):
            old = Path(folder) / str(number)
            with explain_os_errors(path):
                if path.exists() and number < len(finished):
                    shutil.copy2(path, old)
                os.replace(part, path)
            if number < len(finished):  # after the last nothing can fail
                undo.callback(_restore, old, path)
        undo.pop_all()


def _restore(old: Path, path: Path) -> None:
    if old.exists():
        shutil.copy2(old, path)
    else:
        path.unlink()


def _set_default_mode(path: Path) -> None:
    """Give a temporary file the permissions of an ordinary one."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
