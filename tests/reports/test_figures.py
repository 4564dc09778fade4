import json

import numpy as np
import pytest

from slarisk.analysis.breakdowns import break_down
from slarisk.analysis.trend import HoursHistogram
from slarisk.reports.figures import MOST_BARS, draw_heat, draw_hours, draw_rates, label


def test_the_highest_rates_are_drawn_with_their_intervals(code, outcome):
    team = [f"T{i:02}" for i in range(20) for _ in range(20)]
    breach = [i % 20 < i // 20 for i in range(400)]  # T00 never, T19 nearly always
    breakdown = break_down([code("team", team)], outcome(breach), 0.95)
    (bars,) = draw_rates(breakdown, 10, 0.5).plot.data
    assert len(bars.y) == MOST_BARS
    assert bars.y[-1] == "T19"  # Plotly draws from below
    assert bars.x[-1] == pytest.approx(0.95)
    assert bars.x[-1] + bars.error_x.array[-1] == pytest.approx(breakdown.table["rate_high"][0])


def test_heat_keeps_the_order_of_priorities(code, outcome):
    kind, priority = code("kind", list("aabb")), code("priority", ["Low", "High"] * 2)
    breakdown = break_down([kind, priority], outcome([1, 0, 0, 1], 10), 0.95)
    (heat,) = draw_heat(breakdown, 1, {"priority": ["High", "Low"]}).plot.data
    assert list(heat.x) == ["High", "Low"]
    assert heat.text[0][0] == "$10"


def test_hours_are_split_at_the_target():
    edges = np.geomspace(1, 100, 3)
    figure = draw_hours(
        [HoursHistogram("High", edges, np.array([3.0, 1.0]), np.array([1.0, 1.0]), 4.0, 5.0)]
    ).plot
    within, beyond = figure.data
    assert (list(within.y), list(beyond.y)) == ([0.5, 0], [0.25, 0.25])
    assert figure.layout.annotations[0].text == "<b>High</b>: median 5.0 h, target 4 h"


def test_text_of_the_data_is_no_markup(code, outcome):
    breakdown = break_down([code("team", ["<a href='x'>y</a>"] * 20)], outcome([1] * 20), 0.95)
    text = json.dumps(draw_rates(breakdown, 10, 1.0).plot.to_plotly_json(), default=str)
    assert "<a href" not in text
    assert label("a" * 50).endswith("\u2026")
