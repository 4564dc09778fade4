"""Which code made a run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """The git commit of the code, and what differs from it (empty if nothing does)."""

    commit: str
    diff: str

    @property
    def dirty(self) -> bool:
        """Whether tracked files differ from the commit."""
        return bool(self.diff)


def find_source() -> Source:
    """Look up the commit of the checkout this package runs from."""
    folder = Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return Source("unknown", "")
    # plainly, whatever the user's own settings are: so that `git apply` reads it
    plain = ("--no-ext-diff", "--no-color")
    return Source(commit.strip(), _git(folder, "diff", *plain, "HEAD", "--", ":/"))


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout
