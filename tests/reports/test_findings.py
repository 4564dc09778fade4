from dataclasses import replace

import pytest

from slarisk.reports.findings import describe_dropped, list_caveats, list_findings


def find(analysis, topic):
    return next(each.text for each in list_findings(analysis) if each.topic == topic)


def test_findings_are_computed(analysis):
    assert find(analysis, "The size of it") == (
        "18 of 100 tickets breached their SLA: 18.0% (11.7% to 26.7%). That cost $5,080, or "
        "$50.80 a ticket."
    )
    assert "5.0 times the target of 10%" in find(analysis, "The KPI")
    assert find(analysis, "Where the money goes") == (
        "Critical tickets are 20% of all and 98% of the cost."
    )
    assert "$333 a point, $1,000 in all" in find(analysis, "What helps most")
    assert "S1 (Urgent ones) comes out best: 5 breaches avoided and $2,500 saved, $1,500 after" in (
        find(analysis, "Scenarios")
    )


@pytest.mark.parametrize(
    ("breaches", "words"),
    [(0, "clearly"), (1, "not beyond doubt"), (3, "though chance could explain it")],
)
def test_the_kpi_is_told_with_its_doubt(analysis, breaches, words):
    tickets = 100 if breaches == 0 else 20
    low, high = {0: (0, 0.037), 1: (0.009, 0.236), 3: (0.052, 0.36)}[breaches]
    kpi = replace(
        analysis.kpi,
        tickets=tickets,
        breaches=breaches,
        rate=breaches / tickets,
        low=low,
        high=high,
    )
    assert words in find(replace(analysis, kpi=kpi), "The KPI")


def test_every_ticket_is_accounted_for(analysis):
    assert describe_dropped(analysis) == (
        "Of 200 tickets in the export, 100 have a label and are analysed. Left out: 90 still open "
        "and within their target and 10 without the times a label needs."
    )
    whole = replace(analysis, rows_in=100, dropped={})
    assert describe_dropped(whole) == "All 100 tickets of the export have a label."


def test_caveats_are_those_of_the_data(analysis, composed):
    told = " ".join(list_caveats(analysis))
    assert "50% of the tickets have no label" in told
    assert "3 of 18 breaches cost $0" in told
    assert "too short a time" in told
    assert "imputed" not in told
    imputed = replace(analysis, config=composed("data=kaggle", root="analyze"))
    assert "1 to 5 hours, drawn at random" in " ".join(list_caveats(imputed))


def test_small_segments_are_told(analysis):
    breakdown = analysis.breakdowns[("priority",)]
    tiny = breakdown.table.assign(tickets=[3, 97])
    small = replace(analysis, breakdowns={("priority",): replace(breakdown, table=tiny)})
    assert "1 segment with fewer than 10 tickets" in " ".join(list_caveats(small))
