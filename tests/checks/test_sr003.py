"""SR003: enough tickets for the intervals."""

from dataclasses import replace

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("tickets", "breached", "verdict"),
    [(100, 30, "ok"), (100, 29, "warning"), (100, 70, "ok"), (100, 71, "warning")],
)
def test_thirty_of_a_kind_are_enough(clean, examine, read_figures, tickets, breached, verdict):
    test = clean.test.head(tickets).assign(breach=np.arange(tickets) < breached)
    found = examine("SR003", replace(clean, test=test))
    assert found.verdict.value == verdict
    assert read_figures(found)[:2] == [tickets, breached]
