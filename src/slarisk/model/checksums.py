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
        Paths that are not sealed.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and _LEFT_BY_PYTHON not in path.parts
    }
    for name in leave_out:
        files.pop(name, None)
    return {name: hashlib.sha256(files[name].read_bytes()).hexdigest() for name in sorted(files)}


def write_checksums(seal: Mapping[str, str]) -> str:
    """Write a seal as text; equal seals are equal texts.

    Examples
    --------
    >>> write_checksums({"b": "02", "a": "01"})
    '{"a": "01", "b": "02"}'
    """
    return json.dumps(seal, sort_keys=True)


def fingerprint_checksums(seal: Mapping[str, str]) -> str:
    """Fingerprint a seal: one SHA-256 that stands for all of its files."""
    return hashlib.sha256(write_checksums(seal).encode()).hexdigest()


def list_changed_files(sealed: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say which files are no longer what they were.

    Examples
    --------
    >>> list_changed_files({"a": "01", "b": "02"}, {"b": "00", "c": "03"})
    ['a is missing', 'b was changed', 'c was added']
    """
    damage = []
    for name in sorted({*sealed, *found}):
        if name not in found:
            damage.append(f"{name} is missing")
        elif name not in sealed:
            damage.append(f"{name} was added")
        elif found[name] != sealed[name]:
            damage.append(f"{name} was changed")
    return damage
