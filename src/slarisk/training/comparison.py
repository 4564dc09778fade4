"""Compare a run with its repetition: its inputs, its code, its libraries, and every metric."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from slarisk.tracking.runs import fetch_text
from slarisk.tracking.source import find_versions
from slarisk.tracking.tags import DATA_TAG, DIFF_FILE, POLICY_TAG, SPLIT_TAG, VERSIONS_FILE
from slarisk.training.result import SECONDS

if TYPE_CHECKING:
    from slarisk.tracking.runs import RunRecord
    from slarisk.training.prepare import Prepared

_INPUTS = {DATA_TAG: "the tickets", SPLIT_TAG: "the test tickets", POLICY_TAG: "labels and costs"}


def find_differences(old: RunRecord, prepared: Prepared) -> Iterator[str]:
    """Name each input that differs from the run's: data, code, versions of libraries."""
    for tag, words in _INPUTS.items():
        if old.tags.get(tag) != prepared.tags[tag]:
            yield f"{words} ({tag} {old.tags.get(tag)}, now {prepared.tags[tag]})"
    source = prepared.source
    commit = old.tags.get("git_commit")
    if commit != source.commit:
        yield f"the code (commit {commit}, now {source.commit})"
    diff = fetch_text(old.run_id, DIFF_FILE) if old.tags.get("git_dirty") == "true" else ""
    if diff != source.diff:
        others = "others" if diff else "uncommitted changes"
        yield (
            f"the code beyond its commit (then {'uncommitted changes' if diff else 'none'}, "
            f"now {others if source.diff else 'none'})"
        )
    written = fetch_text(old.run_id, VERSIONS_FILE)
    yield from compare_versions(json.loads(written) if written else {}, find_versions())


def compare_versions(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Name the libraries whose version differs."""
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name} ({old.get(name, 'unknown')}, now {new.get(name, 'unknown')})"


def compare_metrics(
    old: Mapping[str, float], new: Mapping[str, float], changed: Sequence[str]
) -> str:
    """Format old and new metrics side by side, with all digits."""
    names = list(dict.fromkeys([*new, *old]))
    width = max(map(len, names))
    lines = [f"  {'metric':<{width}}  {'then':>22}  {'now':>22}"]
    for name in names:
        then, now = (repr(metrics[name]) if name in metrics else "-" for metrics in (old, new))
        mark = "  differs" if name in changed else ""
        lines.append(f"  {name:<{width}}  {then:>22}  {now:>22}{mark}")
    compared = len(names) - 1
    lines.append(
        f"  {compared - len(changed)} of {compared} metrics are equal to the last digit "
        f"({SECONDS} aside)"
    )
    return "\n".join(lines)
