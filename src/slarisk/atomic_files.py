"""Files that appear under their names complete, or not at all."""

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
    """Write a file that appears whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def replacing(paths: Sequence[Path], folder: Path | None = None) -> Iterator[list[Path]]:
    """Give each path a part to write; put all in place at the end, in this order.

    After an error, or an interruption, nothing has changed. A part lies beside its path, or in
    ``folder``, if it can be moved from there.

    Raises
    ------
    InputError
        A folder cannot be written.
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
                _make_readable(part)
        _put_in_place(list(zip(parts, paths, strict=True)))
    finally:
        for part in parts:
            with suppress(FileNotFoundError):
                part.unlink()


def _make_part(path: Path, folder: Path | None) -> Path:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder is None or folder.stat().st_dev != path.parent.stat().st_dev:
        folder = path.parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    return Path(name)


@contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into one sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error


def _put_in_place(finished: list[tuple[Path, Path]]) -> None:
    """Give finished files their names; if one cannot have its own, none has."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as undo:
        for number, (part, path) in enumerate(finished[:-1]):
            old = Path(folder) / str(number)
            with explain_os_errors(path):
                if path.exists():
                    shutil.copy2(path, old)
                os.replace(part, path)
            undo.callback(_put_back, old, path)
        for part, path in finished[-1:]:
            with explain_os_errors(path):
                os.replace(part, path)
        undo.pop_all()


def _put_back(old: Path, path: Path) -> None:
    if old.exists():
        shutil.copy2(old, path)
    else:
        path.unlink()


def _make_readable(path: Path) -> None:
    """Give a temporary file the permissions that an ordinary one would have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
