import pytest
from mlflow import MlflowClient

from slarisk.analysis.changes import Period
from slarisk.errors import InputError
from slarisk.registry.selection import choose_run
from slarisk.reports.items import (
    ANALYSIS,
    PERIOD_FILE,
    SEGMENTS_FILE,
    analysis_start_items,
    fetch_earlier,
    identify_analysis,
)
from slarisk.tracking.items import Params, Text
from slarisk.tracking.source import Source
from slarisk.tracking.store import open_store, tracked_run


@pytest.fixture
def experiment(place, composed):
    return open_store(composed(root="analyze").tracking)


def log(files, tags):
    with tracked_run("analysis", tags) as run_id:
        for name, text in files.items():
            MlflowClient().log_text(run_id, text, name)
    return run_id


TAGS = identify_analysis("data", "policy", Source("abc", ""))
PERIOD = '{"run_id": "r", "first": "", "last": "", "tickets": 9, "breaches": 3, "total_cost": 5.5'
SEGMENTS = "fields,segment,tickets,breaches,total_cost\nteam,NA,9,3,5.5\n"


def test_what_an_analysis_logged_is_read_again(experiment):
    run_id = log({PERIOD_FILE: PERIOD + ', "policy": "p"}', SEGMENTS_FILE: SEGMENTS}, TAGS)
    earlier = fetch_earlier(run_id)
    assert earlier.period == Period("r", "", "", 9, 3, 5.5, "p")
    expected = {"fields": "team", "segment": "NA", "tickets": 9, "breaches": 3, "total_cost": 5.5}
    assert earlier.segments.to_dict("records") == [expected]


@pytest.mark.parametrize(
    ("files", "tags", "message"),
    [
        ({}, {"kind": "other"}, "analyze.py"),
        ({}, TAGS, "period.json"),
        ({PERIOD_FILE: PERIOD + "}", SEGMENTS_FILE: SEGMENTS}, TAGS, "policy"),
        ({PERIOD_FILE: PERIOD + ', "policy": "p"}', SEGMENTS_FILE: "a,b\n"}, TAGS, "fields"),
    ],
)
def test_what_cannot_be_read_is_told(experiment, files, tags, message):
    run_id = log(files, tags)
    with pytest.raises(InputError, match=f"compare={run_id}: .*{message}"):
        fetch_earlier(run_id)


def test_an_analysis_is_never_the_best_run(experiment):
    with tracked_run("analysis", TAGS) as run_id:
        MlflowClient().log_metric(run_id, "objective", 0.0)
    with pytest.raises(InputError, match="objective"):
        choose_run(experiment, "objective")
    assert TAGS["kind"] == ANALYSIS


def test_what_is_logged_before_anything_is_found(composed):
    config = composed("tracking.uri=postgresql://me:secret@host/db", root="analyze")
    choices, written, diff = analysis_start_items(config, Source("abc", "+ a line"))
    assert choices == Params(
        {"data": "sample", "sla": "standard", "cost": "charged", "compare": "none"}
    )
    assert isinstance(written, Text)
    assert "secret" not in written.text
    assert "reduction: 0.15" in written.text
    assert diff.text == "+ a line"
