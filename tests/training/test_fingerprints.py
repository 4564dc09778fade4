"""Fingerprints change with what a run rests on, and with nothing else."""

from dataclasses import replace

import pytest

from slarisk.config import Label, LabelKind, Quarantine
from slarisk.tracking.source import Source
from slarisk.tracking.tags import DATA_TAG, POLICY_TAG, SPLIT_TAG
from slarisk.training.fingerprints import fingerprint_job, fingerprint_labelling

TAGS = {DATA_TAG: "d", SPLIT_TAG: "s", POLICY_TAG: "p"}
NO_CODE = Source("", "")


def test_a_commit_changes_no_fingerprint_without_code(composed):
    """A search keeps its study, and resumes, when only the code has changed."""
    config = composed("model=lr")
    before = fingerprint_job(config, TAGS | {"mlflow.source.git.commit": "one"}, NO_CODE)
    after = fingerprint_job(config, TAGS | {"mlflow.source.git.commit": "two"}, NO_CODE)
    assert before == after


@pytest.mark.parametrize("tag", TAGS)
def test_other_tickets_or_policies_change_it(composed, tag):
    config = composed("model=lr")
    other = fingerprint_job(config, TAGS | {tag: "other"}, NO_CODE)
    assert other != fingerprint_job(config, TAGS, NO_CODE)


@pytest.mark.parametrize(
    ("data", "recorded"), [("sample", "a39e9e492a511bab"), ("servicenow", "e0f70f48467f3e6b")]
)
def test_a_run_from_before_a_key_came_has_the_fingerprint_of_one_now(composed, data, recorded):
    """As logged before ``label.quarantine`` came: otherwise its champion could not be compared."""
    config = composed(f"data={data}", "cost.effect=constant")
    assert fingerprint_labelling(config) == recorded
    assert fingerprint_labelling(composed(f"data={data}")) != recorded


@pytest.mark.parametrize(
    "change",
    [
        {"late_if_open_after": 240.0},
        {"quarantine": [Quarantine(["2016-03-05", "2016-03-24"], "no labels")]},
        {"kind": LabelKind.due_date},
        {"observed_at": "2016-06-01"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_label_is_another_policy(composed, change):
    config = composed("data=servicenow")
    label = Label(**(vars(config.data.label) | change))
    changed = replace(config, data=replace(config.data, label=label))
    assert fingerprint_labelling(changed) != fingerprint_labelling(config)
