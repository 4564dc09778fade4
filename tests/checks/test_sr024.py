"""SR024: context comes from the past alone."""

from dataclasses import replace

import pandas as pd
import pytest

CONTEXT = [
    "features.load=[{by: [all, priority], hours: [24, 168]}]",
    "features.rates=[{by: [all, channel]}]",
    "features.past=[{of: [product], days: 20}]",
]


def test_without_context_there_is_nothing_to_count(examine, clean):
    assert examine("SR024", clean).verdict.value == "ok"


QUARANTINE = "data.label.quarantine=[{created: ['2024-05-01', '2024-06-15'], why: a test}]"


@pytest.mark.parametrize("split", [["split.settled=true"], ["split=random"], [QUARANTINE]], ids=str)
@pytest.mark.slow
def test_counted_again_it_is_the_same(gather, sample, examine, read_figures, split):
    """Also where labels were assumed at the cut: half of the tickets are never resolved."""

    def leave_open(table, config):
        table.loc[table.index % 2 == 0, "Time to Resolution"] = None
        table.loc[table.index % 7 == 0, "Product Purchased"] = None
        return table, None

    context = gather(sample, *CONTEXT, *split, spoil=leave_open)
    finding = examine("SR024", context)
    assert finding.verdict.value == "ok", finding.detail
    assert read_figures(finding) == [15, 40]


def test_a_column_that_differs_is_named(gather, sample, examine):
    context = gather(sample, *CONTEXT)
    moved = context.training.assign(open_all=context.training["open_all"].shift(-1))
    finding = examine("SR024", replace(context, training=pd.DataFrame(moved)))
    assert finding.verdict.value == "failed"
    assert "open_all" in finding.detail
    assert "arrived" not in finding.detail
