"""Which code made a run, and which versions of everything it stands on."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

_PACKAGES = ("slarisk", "numpy", "scipy", "pandas", "scikit-learn", "lightgbm", "mlflow")


def identify_source(source: Source) -> dict[str, str]:
    """Tags that say which code made a run."""
    return {"git_commit": source.commit, "git_dirty": str(source.dirty).lower()}


@dataclass(frozen=True)
class Source:
    """The git commit of the checkout, and what differs from it (empty if nothing does).

    ``code`` fingerprints the package alone: pages and tables beside it do not change what it does.
    """

    commit: str
    diff: str
    code: str = "unknown"

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
    diff = ("diff", "--no-ext-diff", "--no-color", "HEAD", "--")
    package = folder.parent
    code = _git(package, "rev-parse", "HEAD:./") + _git(package, *diff, ".")
    fingerprint = hashlib.sha256(code.encode()).hexdigest()[:16]
    return Source(commit.strip(), _git(folder, *diff, ":/"), fingerprint)


@cache
def find_versions() -> dict[str, str]:
    """Look up what the last digits of a result depend on.

    Libraries for linear algebra choose their kernel by the processor, and kernels round apart.
    """
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    kernels = {
        f"{each['internal_api']} {each.get('architecture', '')}".strip()
        for each in threadpool_info()
        if each["user_api"] == "blas"
    }
    return versions | {"blas": ", ".join(sorted(kernels))}


def write_versions() -> str:
    """Write the versions as JSON."""
    return json.dumps(find_versions(), indent=1)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout
