import html
import io
import json
import os
import re

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from scipy import stats

from slarisk.commands import analyze as command
from slarisk.registry.selection import choose_run

KAGGLE = ("data=kaggle", "sla=notebook")


@pytest.fixture
def analyze(run):
    """Analyses `tickets.csv` in the working folder; gives how the command ended."""

    def analyze_quickly(*overrides):
        where = [] if any("data.path" in each for each in overrides) else ["data.path=tickets.csv"]
        return run("analyze", *where, "bootstrap_draws=50", *overrides)

    return analyze_quickly


@pytest.fixture
def export(place, write_tickets):
    write_tickets(place / "tickets.csv")
    return place


def done(ended):
    assert (ended.code, ended.err) == (0, "")
    return ended.out.rsplit("run ", 1)[1].strip()


def table(place, run_id, name):
    (path,) = place.glob(f"mlruns/*/{run_id}/artifacts/tables/{name}.csv")
    return pd.read_csv(path)


def read_tables(page):
    """Read the tables that a page offers for download, by file name."""
    found = re.findall(r'data-csv="([\w-]+)" data-name="([\w.]+)"', page)
    texts = dict(
        re.findall(r'<script type="application/json" id="([\w-]+-csv)">(.*?)</script>', page)
    )
    return {name: json.loads(texts[key]) for key, name in found}


def read_rows(page, name):
    """Read a table as the page shows it, by the name of its CSV: a list of cells for each row."""
    (key,) = re.findall(rf'data-csv="(table-\d+)-csv" data-name="{name}.csv"', page)
    (text,) = re.findall(rf'<table id="{key}">(.*?)</table>', page, flags=re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", text, flags=re.DOTALL)
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t", row)] for row in rows
    ]


def read_origins(page):
    """Read how many tickets have a score of each origin."""
    (origins,) = re.findall(r"\(scores: (.*?)\)", page)
    return {name: int(tickets) for tickets, name in re.findall(r"(\d+) ([a-z ]+)", origins)}


def model_line(ended):
    """The line of the output that says what the model adds, or why it is left out."""
    (line,) = [each for each in ended.out.splitlines() if each.startswith("What the model adds")]
    return line


def check_alone_and_private(page):
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # Plotly names addresses
    assert not re.search(r'(src|href)="(?!#|data:)', outside)
    assert "@import" not in page.split("</style>")[0]
    for private in ("Lovelace", "ada@example.com", "secret diary"):
        assert private not in page
    assert page.count("<script>") == 2
    assert len(page) < 6e6


def check_told_to_those_who_do_not_see(page):
    figures = re.findall(
        r'<div class="figure" data-figure="([\w-]+)" role="img" aria-label="(.*?)"', page
    )
    assert len(figures) > 8
    assert all(len(says) > 20 for _, says in figures)
    for key, _ in figures:
        (text,) = re.findall(rf'id="{key}">(.*?)</script>', page)
        assert set(json.loads(text)) >= {"data", "layout"}
    assert page.count("<table") == page.count("<caption>")
    assert '<html lang="en">' in page


@pytest.mark.slow
def test_the_report_and_its_run(export, analyze):
    run_id = done(analyze())
    page = (export / "outputs" / "report.html").read_text("utf-8")
    run = MlflowClient().get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "analysis"
    assert run.data.tags["git_commit"]
    assert run.data.metrics["tickets"] == 600
    assert run.data.params["data"] == "sample"
    (logged,) = export.glob(f"mlruns/*/{run_id}/artifacts/report.html")
    assert logged.read_text("utf-8") == page

    channel = table(export, run_id, "where_channel").set_index("channel")
    assert channel["tickets"].sum() == 600
    # the export's breaches depend on the channel alone
    assert channel["breach_rate"].idxmax() == "Email"
    drivers = table(export, run_id, "drivers").set_index("driver")
    assert drivers.loc["Channel", "verdict"] == "matters"
    assert drivers.loc["Priority", "verdict"] != "matters"
    assert read_tables(page)["where_channel.csv"].splitlines()[0].startswith("channel,tickets")
    check_alone_and_private(page)
    check_told_to_those_who_do_not_see(page)


@pytest.mark.slow
def test_each_driver_is_shown_with_its_test(export, analyze):
    """Statistic, degrees of freedom, p and corrected p, as SciPy has them for the same tickets."""
    run_id = done(analyze())
    page = (export / "outputs" / "report.html").read_text("utf-8")
    tickets = pd.read_csv("tickets.csv", dtype="str")
    created, resolved = (pd.to_datetime(tickets[x]) for x in ("Created At", "Time to Resolution"))
    target = tickets["Ticket Priority"].map({"Critical": 4, "High": 8, "Normal": 24})
    breach = (resolved - created) / pd.Timedelta(hours=1) > target
    priority = stats.chi2_contingency(pd.crosstab(tickets["Ticket Priority"], breach))
    assert priority.dof == 2

    logged = table(export, run_id, "drivers")
    offered = pd.read_csv(io.StringIO(read_tables(page)["drivers.csv"]))
    pd.testing.assert_frame_equal(logged, offered)
    tests = pd.concat([logged["p_value"], logged["within_p"].dropna()])
    row = logged.set_index("driver").loc["Priority"]
    position = int(np.flatnonzero(logged["driver"] == "Priority")[0])
    corrected = stats.false_discovery_control(tests)[position]
    message = row[["statistic", "df", "p_value", "q_value"]].tolist()
    assert message == pytest.approx([priority.statistic, 2, priority.pvalue, corrected])

    heading, *rows = read_rows(page, "drivers")
    (shown,) = [dict(zip(heading, row, strict=True)) for row in rows if row[0] == "Priority"]
    assert shown["Test"] == "chi-square"
    assert shown["Statistic"] == f"{priority.statistic:.4f}"
    assert (shown["df"], shown["p"]) == ("2", f"{priority.pvalue:.5g}")
    assert shown["Corrected p"] == f"{corrected:.5g}"


@pytest.mark.slow
def test_text_of_the_data_is_only_text(export, analyze):
    tickets = pd.read_csv("tickets.csv", dtype="str")
    evil = "</script><script>alert(1)</script><b>R&D</b>{{ 7 * 7 }}"
    tickets["Product Purchased"] = np.where(np.arange(600) % 2, evil, "=1+1")
    tickets.to_csv("tickets.csv", index=False)
    done(analyze())
    page = (export / "outputs" / "report.html").read_text("utf-8")
    assert "alert(1)</script>" not in page
    assert "<b>R&D</b>" not in page
    assert html.escape(evil) in page
    assert "'=1+1" in read_tables(page)["where_product.csv"]  # no formula for a spreadsheet


@pytest.mark.slow
def test_without_a_champion_the_report_says_so(export, analyze):
    ended = analyze()
    done(ended)
    assert "python promote.py" in model_line(ended)
    page = (export / "outputs" / "report.html").read_text("utf-8")
    assert "python promote.py" in page
    assert "escalation.csv" not in read_tables(page)


@pytest.mark.slow
def test_the_model_is_judged_on_honest_scores(champion, analyze):
    run_id = done(analyze("capacities=[1,2]"))
    found = table(champion, run_id, "escalation")
    assert found["per_day"].dropna().unique().tolist() == [1, 2]
    page = (champion / "outputs" / "report.html").read_text("utf-8")
    assert read_origins(page) == {"out of fold": 478, "test": 120, "new": 2}
    best = found[found["per_day"].isna()].set_index("ranking")["net"]
    assert best["expected saving"] > best["priority"]


def test_no_in_sample_score_takes_part(champion, analyze, monkeypatch):
    """A training ticket whose out-of-fold score is lost is left out, not scored in sample."""

    def forget(*version):
        bundle = fetch_version(*version)
        bundle.seen.loc[bundle.seen["origin"] == "out_of_fold", "probability"] = np.nan
        return bundle

    fetch_version = command.fetch_version
    monkeypatch.setattr(command, "fetch_version", forget)
    done(analyze())
    page = (champion / "outputs" / "report.html").read_text("utf-8")
    assert read_origins(page) == {"test": 120, "new": 2}


@pytest.mark.slow
def test_a_champion_of_another_data_policy_is_left_out(champion, analyze):
    swapped = ("data.columns.product=Ticket Subject", "data.columns.subject=Product Purchased")
    ended = analyze(*swapped)
    done(ended)
    assert "version 1" in model_line(ended)
    page = (champion / "outputs" / "report.html").read_text("utf-8")
    assert "escalation.csv" not in read_tables(page)


@pytest.mark.slow
def test_a_champion_that_is_damaged_costs_its_section_only(champion, analyze):
    for path in champion.glob("mlruns/**/bundle.json"):
        path.write_text("{}")
    ended = analyze()
    done(ended)
    assert "models:/sla-breach-risk/1" in model_line(ended)


@pytest.mark.slow
def test_promotion_does_not_take_an_analysis_for_a_run(trained, analyze, run):
    analysis = done(analyze())
    experiment = MlflowClient().get_experiment_by_name("sla-breach-risk").experiment_id
    MlflowClient().log_metric(analysis, "objective", 0.0)
    assert choose_run(experiment, "objective").run.run_id != analysis
    ended = run("promote", f"run_id={analysis}")
    assert ended.code == 1
    assert "value_over_baseline" in ended.err


@pytest.mark.slow
def test_what_changed_since_an_earlier_analysis(export, analyze):
    tickets = pd.read_csv("tickets.csv", dtype="str")
    half = tickets.index < 300
    tickets[half].to_csv("first.csv", index=False)
    # in the second half, tickets by e-mail are answered in time
    calm = tickets[~half & (tickets["Ticket Channel"] != "Email")]
    calm.to_csv("second.csv", index=False)
    earlier = done(analyze("data.path=first.csv"))
    ended = analyze("data.path=second.csv", f"compare={earlier}")
    run_id = done(ended)
    runs = [MlflowClient().get_run(each) for each in (earlier, run_id)]
    (line,) = [each for each in ended.out.splitlines() if each.startswith("What changed")]
    for each in runs:
        assert f"{each.data.metrics['breach_rate']:.1%}" in line
    assert runs[1].data.params["compare"] == earlier
    changed = table(export, run_id, "changes")
    assert set(changed.loc[changed["q_value"] < 0.05, "field"]) >= {"priority"}
    page = (export / "outputs" / "report.html").read_text("utf-8")
    assert {"changes.csv", "mix.csv"} <= {*read_tables(page)}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["compare=nothing"], "compare=nothing: "),
        (["data.path=nowhere.csv"], "nowhere.csv: "),
        (["output=report.pdf"], "output=report.pdf: "),
        (["output=folder.html"], "output=folder.html: "),
        (["fields=[colour]"], "fields: "),
        (["kpi.field=colour"], "kpi.field: "),
        (["kpi.below=10"], "kpi.below=10.0"),
        (["measures.fields=[colour]"], "measures.fields: "),
        (["measures.reduction=2"], "measures.reduction=2.0"),
        (["scenarios.S1.reduction=20"], "scenarios.S1.reduction=20.0"),
        (["scenarios.S1.segment.colour=red"], "scenarios.S1.segment.colour"),
        (["capacities=[10,0]"], "capacities[1]=0"),
        (["min_tickets=0"], "min_tickets=0"),
        (["bootstrap_draws=0"], "bootstrap_draws=0"),
    ],
)
def test_a_mistake_is_told_and_leaves_no_report(export, analyze, overrides, message):
    (export / "folder.html").mkdir()
    ended = analyze(*overrides)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert list(export.glob("**/*.html")) == [export / "folder.html"]


def test_a_training_run_is_no_earlier_analysis(trained, analyze):
    experiment = MlflowClient().get_experiment_by_name("sla-breach-risk").experiment_id
    run = MlflowClient().search_runs([experiment])[0]
    ended = analyze(f"compare={run.info.run_id}")
    assert ended.code == 2
    assert f"compare={run.info.run_id}: " in ended.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_that_cannot_be_written_is_a_failed_run(export, analyze):
    (export / "shut").mkdir(mode=0o500)
    ended = analyze("output=shut/report.html")
    assert ended.code == 2
    assert "shut/report.html" in ended.err


def test_an_old_report_stays_until_the_new_one_is_whole(export, analyze):
    (export / "outputs").mkdir(exist_ok=True)
    (export / "outputs" / "report.html").write_text("old")
    assert analyze("fields=[colour]").code == 2
    assert (export / "outputs" / "report.html").read_text() == "old"
    assert not list((export / "outputs").glob(".*"))


# Any data policy --------------------------------------------------------------------------------


@pytest.fixture
def policy(place):
    """Writes a data policy into a folder that `--config-dir` names."""

    def write(name, text):
        (place / "conf" / "data").mkdir(parents=True, exist_ok=True)
        (place / "conf" / "data" / f"{name}.yaml").write_text(text)
        return ["--config-dir", str(place / "conf"), f"data={name}", f"data.path={name}.csv"]

    return write


def test_a_label_and_nothing_else(place, policy, analyze):
    pd.DataFrame({"id": range(40), "late": ["yes", "no"] * 20}).to_csv("bare.csv", index=False)
    arguments = policy(
        "bare",
        "name: bare\npath: ''\ncolumns: {ticket_id: id, late: late}\nsegments: []\n"
        "label: {kind: column, column: late, breach_value: 'yes'}\nfeatures: {categorical: []}\n",
    )
    run_id = done(analyze(*arguments, "sla.default_cost=5"))
    metrics = MlflowClient().get_run(run_id).data.metrics
    assert (metrics["tickets"], metrics["breaches"], metrics["total_cost"]) == (40, 20, 100)
    assert "kpi_rate" not in metrics
    page = (place / "outputs" / "report.html").read_text("utf-8")
    assert {*read_tables(page)} == {"tickets.csv", "sla.csv"}  # of what the report rests on
    assert page.count('class="note"') == 8  # KPI, drivers, groups, measures, model, 3 scenarios


def test_due_dates_and_a_price_for_every_ticket(place, policy, analyze):
    rng = np.random.default_rng(0)
    created = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(300) * 9.0, unit="h")
    hours = pd.to_timedelta(rng.exponential(10, 300), unit="h")
    pd.DataFrame(
        {
            "Nr": range(300),
            "Erstellt": created.strftime("%d.%m.%Y %H:%M"),
            "Erledigt": (created + hours).strftime("%d.%m.%Y %H:%M"),
            "Faellig": (created + pd.Timedelta(hours=12)).strftime("%d.%m.%Y %H:%M"),
            "Team": rng.choice(["Netz", "Druck"], 300),
            "Schaden": rng.integers(1, 5000, 300),
        }
    ).to_csv("helpdesk.csv", index=False, sep=";")
    arguments = policy(
        "helpdesk",
        'name: helpdesk\npath: ""\ndelimiter: ";"\ndate_formats: ["%d.%m.%Y %H:%M"]\n'
        "columns: {ticket_id: Nr, created_at: Erstellt, resolved_at: Erledigt, due_at: Faellig, "
        "team: Team, damage: Schaden}\nknown: {created: [ticket_id, created_at, due_at, team, "
        "damage], resolved: [resolved_at]}\nlabel: {kind: due_date}\ncosts: {breach: damage}\n"
        "features: {categorical: [team]}\nsegments: [team]\n",
    )
    run_id = done(analyze(*arguments))
    ranked = table(place, run_id, "measures")
    assert set(ranked["segment"]) == {"Team Netz", "Team Druck"}
    assert "damage" not in set(table(place, run_id, "drivers")["driver"].str.lower())


def test_a_handful_of_tickets(export, analyze):
    pd.read_csv("tickets.csv", dtype="str").head(3).to_csv("few.csv", index=False)
    done(analyze("data.path=few.csv"))
    page = (export / "outputs" / "report.html").read_text("utf-8")
    assert not [name for name in read_tables(page) if name.startswith("where")]


# The public data sets ---------------------------------------------------------------------------


@pytest.mark.real_data
def test_the_notebooks_figures(place, analyze, real_data):
    ended = analyze(*KAGGLE, f"data.path={real_data('customer_support_tickets.csv')}")
    run_id = done(ended)
    drivers = table(place, run_id, "drivers").set_index("driver")
    assert drivers.loc["Priority", "statistic"] == pytest.approx(829.3697, abs=5e-5)
    assert drivers.loc["Priority", "p_value"] == pytest.approx(1.8471e-179, rel=5e-5)
    top = table(place, run_id, "where_ticket_type_x_priority").iloc[0]
    assert top[["ticket_type", "priority"]].tolist() == ["Technical issue", "Critical"]
    assert top[["tickets", "total_cost"]].tolist() == [102, 39_500]
    assert top["breach_rate"] == pytest.approx(0.774510, abs=5e-7)
    channel = table(place, run_id, "where_channel")
    assert channel["channel"].tolist() == ["Email", "Chat", "Social media", "Phone"]
    assert channel["tickets"].tolist() == [445, 438, 434, 404]
    rates = channel["breach_rate"].round(6).tolist()
    assert rates == [0.339326, 0.335616, 0.324885, 0.309406]
    product = table(place, run_id, "where_product").query("tickets >= 10").iloc[0]
    assert product[["product", "tickets", "breach_rate"]].tolist() == [
        "Bose SoundLink Speaker",
        36,
        0.5,
    ]

    # and its scenarios, the third one put right (docs/analysis.md)
    metrics = MlflowClient().get_run(run_id).data.metrics
    assert (metrics["tickets"], metrics["total_cost"]) == (1721, 213_100)
    assert metrics["breach_rate"] == pytest.approx(0.327716, abs=5e-7)
    scenarios = table(place, run_id, "scenarios").set_index("key")
    assert scenarios["avoided"].to_dict() == {"S1": 16, "S2": 9, "S3": 18}
    assert scenarios["saved"].to_dict() == {"S1": 8000, "S2": 1800, "S3": 9000}
    assert scenarios["expected"].round(2).to_dict() == {"S1": 15.6, "S2": 9.45, "S3": 18.3}
    page = (place / "outputs" / "report.html").read_text("utf-8")
    for figure in ("$213,100", "0.327716", "$8,000", "$1,800", "$9,000"):
        assert figure in page
    heading, *rows = read_rows(page, "drivers")
    (priority,) = [dict(zip(heading, row, strict=True)) for row in rows if row[0] == "Priority"]
    shown = [priority[name] for name in ("Test", "Statistic", "df", "p", "Corrected p")]
    assert shown[:4] == ["chi-square", "829.3697", "3", "1.8471e-179"]
    assert float(shown[4]) == pytest.approx(drivers.loc["Priority", "q_value"], rel=5e-5)


@pytest.mark.real_data
@pytest.mark.slow
def test_servicenow_needs_no_code_of_its_own(place, analyze, real_data):
    ended = analyze("data=servicenow", f"data.path={real_data('incident_event_log.zip')}")
    run_id = done(ended)
    metrics = MlflowClient().get_run(run_id).data.metrics
    assert (metrics["breaches"], metrics["tickets"]) == (9115, 24_918)
    drivers = table(place, run_id, "drivers").set_index("driver")
    assert drivers.loc["Days since the first ticket", "verdict"] == "matters"  # it drifts
    assert drivers.loc["Days since the first ticket", "effect"] < -0.3
    assert "Over time: " in ended.out
