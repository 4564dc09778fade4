import pytest

from slarisk.analysis.analyse import Analysis
from slarisk.analysis.breakdowns import break_down
from slarisk.analysis.changes import Period
from slarisk.analysis.interventions import rank_interventions
from slarisk.analysis.scenarios import simulate
from slarisk.analysis.trend import measure_kpi
from slarisk.config import Scenario


@pytest.fixture
def analysis(composed, code, outcome):
    """A hundred tickets: 20 Critical, of which 10 breach at $500, and 80 Low, 8 at $10."""
    config = composed(root="analyze")
    priority = code("priority", ["Critical"] * 20 + ["Low"] * 80, natural=True)
    outcomes = outcome([1] * 10 + [0] * 10 + [1] * 8 + [0] * 72, [500.0] * 20 + [10.0] * 80)
    mask = priority.codes == 0
    scenario = Scenario(title="Urgent ones", reduction=0.5, cost=1000)
    ranked, best = rank_interventions([priority], outcomes, config.measures, 0.95, 50, 10, 0)
    return Analysis(
        config=config,
        rows_in=200,
        dropped={"open": 90, "no_times": 10},
        period=Period("run", "2024-01-01", "2024-02-01", 100, 18, 5080.0, "policy"),
        rate_low=0.117,
        rate_high=0.267,
        unpriced=3,
        kpi=measure_kpi(priority, "Critical", outcomes, 0.1, 0.95),
        breakdowns={("priority",): break_down([priority], outcomes, 0.95)},
        hours=[],
        trend=None,
        drivers=[],
        groups=None,
        scenarios=[simulate("S1", scenario, "priority Critical", mask, outcomes, 0.95)],
        ranked=ranked,
        best_set=best,
        escalation="There is no champion.",
        changes=None,
    )
