"""SHA-256 of each file of a folder, so that a changed file is named."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_LEFT_BY_PYTHON = "__pycache__"  # appears where code is imported from, and belongs to no model


def checksum_folder(folder: Path, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """Take the SHA-256 of every file in a folder and below, by its path from there.

    Parameters
    ----------
    folder : Path
    leave_out : iterable of str
        Paths that get no checksum.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and _LEFT_BY_PYTHON not in path.parts
    }
    for name in leave_out:
        files.pop(name, None)
    return {name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in sorted(files)}


def write_checksums(checksums: Mapping[str, str]) -> str:
    """Write checksums as text; equal ones give equal text.

    Examples
    --------
    >>> write_checksums({"b": "02", "a": "01"})
    '{"a": "01", "b": "02"}'
    """
    return json.dumps(checksums, sort_keys=True)


def fingerprint_checksums(checksums: Mapping[str, str]) -> str:
    """Combine the checksums of many files into one SHA-256."""
    return hashlib.sha256(write_checksums(checksums).encode()).hexdigest()


def list_changed_files(expected: Mapping[str, str], actual: Mapping[str, str]) -> list[str]:
    """Name each file whose checksum differs, and how.

    Examples
    --------
    >>> list_changed_files({"a": "01", "b": "02"}, {"b": "00", "c": "03"})
    ['a is missing', 'b was changed', 'c was added']
    """
    return [
        f"{name} {_describe_change(expected.get(name), actual.get(name))}"
        for name in sorted({*expected, *actual})
        if expected.get(name) != actual.get(name)
    ]


def _describe_change(expected: str | None, actual: str | None) -> str:
    if actual is None:
        return "is missing"
    return "was added" if expected is None else "was changed"
