"""Files that appear under their names whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.errors import InputError
from slarisk.tickets.write import neutralise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def is_parquet(path: Path) -> bool:
    """Whether a file is to be Parquet, by its ending; any other is CSV."""
    return path.suffix.lower() in {".parquet", ".pq"}


def write_all(files: Mapping[Path, pd.DataFrame | str]) -> None:
    """Write files under their names once all of them are complete, or none at all.

    Parameters
    ----------
    files : mapping of Path to DataFrame or str
        Text as it is; tables as Parquet by file ending, as CSV otherwise. Replaced in this order.

    Raises
    ------
    InputError
        A folder cannot be written.
    """
    with replacing(list(files)) as parts:
        for part, (path, content) in zip(parts, files.items(), strict=True):
            with told_errors(path):
                _write(content, part, is_parquet(path))


def _write(content: pd.DataFrame | str, path: Path, parquet: bool) -> None:
    with path.open("wb") as stream:
        if isinstance(content, str):
            stream.write(content.encode())
        elif parquet:
            neutralise(content).to_parquet(stream, index=False)
        else:
            neutralise(content).to_csv(stream, index=False, lineterminator="\n")


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
            with told_errors(path):
                parts.append(_make_part(path, folder))
        yield parts
        for part, path in zip(parts, paths, strict=True):
            with told_errors(path), part.open("rb+") as stream:
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
def told_errors(path: Path) -> Iterator[None]:
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
            with told_errors(path):
                if path.exists():
                    shutil.copy2(path, old)
                os.replace(part, path)
            undo.callback(_put_back, old, path)
        for part, path in finished[-1:]:
            with told_errors(path):
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


def rejected_path(output: Path) -> Path:
    """Name the file of the rejected rows: ``<output>.rejected.csv``."""
    return output.with_name(f"{output.name}.rejected.csv")
