from itertools import chain, combinations
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from slarisk.datasets.sample import (
    TARGET_HOURS,
    Desk,
    Sample,
    compute_breach_probability,
    generate_tickets,
    measure_closed_hours,
    write_sample,
)

DATA = Path(__file__).parents[2] / "data"

# Written out here and not imported: these are what the file promises its readers.
COLUMNS = [
    *("Ticket ID", "Customer Name", "Customer Email", "Customer Age", "Customer Gender"),
    *("Product Purchased", "Date of Purchase", "Ticket Type", "Ticket Subject", "Ticket Status"),
    *("Ticket Priority", "Ticket Channel", "Created At", "First Response Time"),
    *("Time to Resolution", "Customer Satisfaction Rating"),
]
TARGETS = {"Critical": 4, "High": 8, "Medium": 24, "Low": 72}
BREACH_COSTS = {"Critical": 500, "High": 200, "Medium": 50, "Low": 10}
EXPORTED_AT = pd.Timestamp("2024-12-31 23:59:59")


@pytest.fixture(scope="module")
def bundled() -> pd.DataFrame:
    return read_times(pd.read_csv(DATA / "sample_tickets.csv"))


@pytest.fixture(scope="module")
def usual() -> Sample:
    return generate_tickets(3_000, seed=5)


@pytest.fixture(scope="module")
def large() -> Sample:
    return generate_tickets(60_000, seed=7)


@pytest.fixture(scope="module")
def labelled(large: Sample) -> pd.DataFrame:
    """Tickets whose target had passed by the export, with their outcome and true probability.

    Taking all whose target had passed, and no others, leaves no selection on the outcome.
    """
    tickets = read_times(large.tickets).assign(p=large.truth["breach_probability"])
    target = pd.to_timedelta(tickets["Ticket Priority"].map(TARGETS), unit="h")
    late = tickets["Time to Resolution"] - tickets["Created At"] > target
    tickets["breach"] = late | tickets["Time to Resolution"].isna()
    return tickets[tickets["Created At"] + target <= EXPORTED_AT]


def read_times(tickets: pd.DataFrame) -> pd.DataFrame:
    names = ["Created At", "First Response Time", "Time to Resolution"]
    stamps = {name: pd.to_datetime(tickets[name], format="%Y-%m-%d %H:%M:%S") for name in names}
    bought = pd.to_datetime(tickets["Date of Purchase"], format="%Y-%m-%d")
    return tickets.assign(**stamps, **{"Date of Purchase": bought})


def measure_loss(
    tickets: pd.DataFrame, escalate: pd.Series, *, cost: float, charged: bool, effect: float
) -> float:
    """Dollars per ticket: a breach that is left costs its price, an escalation its cost.

    Escalating a breach averts the share ``effect`` of its price, and is free unless ``charged``.
    """
    breach_cost = tickets["Ticket Priority"].map(BREACH_COSTS)
    left = tickets["breach"] * breach_cost
    acted = np.where(tickets["breach"], cost * charged + (1 - effect) * breach_cost, cost)
    return float(np.where(escalate, acted, left).mean())


class TestFiles:
    def test_regenerating_gives_the_bundled_bytes(self, tmp_path: Path) -> None:
        write_sample(tmp_path)
        written = sorted(path.name for path in tmp_path.iterdir())
        assert written == ["sample_tickets.csv", "sample_truth.csv"]
        for name in written:
            assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes(), name

    def test_columns_are_the_promised_ones_and_no_truth_among_them(
        self, bundled: pd.DataFrame
    ) -> None:
        assert list(bundled.columns) == COLUMNS
        assert len(bundled) == 12_000

    def test_truth_has_one_probability_per_ticket(self, bundled: pd.DataFrame) -> None:
        truth = pd.read_csv(DATA / "sample_truth.csv")
        assert list(truth) == ["ticket_id", "breach_probability", "median_hours", "spread"]
        assert truth["ticket_id"].equals(bundled["Ticket ID"])
        assert truth["breach_probability"].between(0, 1).all()

    def test_the_truth_is_the_tail_of_the_times(self, bundled: pd.DataFrame) -> None:
        truth = pd.read_csv(DATA / "sample_truth.csv")
        target = bundled["Ticket Priority"].map(TARGET_HOURS)
        z = np.log(truth["median_hours"] / target) / truth["spread"]
        assert truth["breach_probability"].to_numpy() == pytest.approx(
            z.map(NormalDist().cdf).to_numpy(), abs=1e-5
        )

    def test_files_are_small_and_end_lines_with_lf(self) -> None:
        assert (DATA / "sample_tickets.csv").stat().st_size < 2_500_000
        assert (DATA / "sample_truth.csv").stat().st_size < 400_000
        for name in ("sample_tickets.csv", "sample_truth.csv"):
            assert b"\r" not in (DATA / name).read_bytes()

    def test_nobody_in_it_exists(self, bundled: pd.DataFrame) -> None:
        number = bundled["Customer Name"].str.extract(r"^Customer (\d{5})$")[0]
        assert (bundled["Customer Email"] == "customer" + number + "@example.com").all()


class TestExport:
    def test_rows_are_sorted_by_creation_and_within_the_year(self, bundled: pd.DataFrame) -> None:
        created = bundled["Created At"]
        assert created.is_monotonic_increasing
        assert created.iloc[0] >= pd.Timestamp("2024-01-01")
        assert created.iloc[-1] <= EXPORTED_AT
        assert bundled["Ticket ID"].is_unique

    def test_nothing_happens_after_the_export(self, large: Sample) -> None:
        tickets = read_times(large.tickets)
        for name in ("First Response Time", "Time to Resolution"):
            assert tickets[name].max() <= EXPORTED_AT

    def test_created_before_answered_before_resolved(self, large: Sample) -> None:
        tickets = read_times(large.tickets)
        answered, resolved = tickets["First Response Time"], tickets["Time to Resolution"]
        assert (tickets["Created At"] < answered)[answered.notna()].all()
        assert (answered <= resolved)[resolved.notna()].all()
        assert answered[resolved.notna()].notna().all()

    def test_status_agrees_with_what_is_missing(self, large: Sample) -> None:
        answered = large.tickets["First Response Time"].notna()
        resolved = large.tickets["Time to Resolution"].notna()
        expected = np.select(
            [resolved, answered], ["Closed", "Pending Customer Response"], default="Open"
        )
        assert (large.tickets["Ticket Status"] == expected).all()
        assert set(expected) == {"Closed", "Pending Customer Response", "Open"}
        assert large.tickets.loc[~resolved, "Customer Satisfaction Rating"].isna().all()

    def test_open_tickets_are_at_the_end_only(self, bundled: pd.DataFrame) -> None:
        unresolved = bundled.loc[bundled["Ticket Status"] != "Closed", "Created At"]
        assert len(unresolved) > 20
        assert unresolved.min() > EXPORTED_AT - pd.Timedelta(days=21)
        assert unresolved.median() > EXPORTED_AT - pd.Timedelta(days=2)

    def test_a_few_percent_are_missing_where_forms_have_gaps(self, large: Sample) -> None:
        missing = large.tickets.isna().mean()
        gaps = ["Customer Age", "Product Purchased"]
        assert missing[gaps].between(0.02, 0.06).all()
        happens_later = [
            *("First Response Time", "Time to Resolution", "Customer Satisfaction Rating")
        ]
        assert (missing.drop([*gaps, *happens_later]) == 0).all()

    def test_a_customer_is_one_person_with_one_purchase(self, bundled: pd.DataFrame) -> None:
        customer = bundled.groupby("Customer Email")
        for name in ("Customer Age", "Customer Gender", "Product Purchased", "Date of Purchase"):
            assert customer[name].nunique().max() == 1, name
        assert (bundled["Date of Purchase"] <= bundled["Created At"]).all()
        assert customer.size().quantile(0.9) >= 3

    def test_a_large_sample_is_the_same_year_denser(self, large: Sample) -> None:
        tickets = read_times(large.tickets)
        assert len(tickets) == 60_000
        assert tickets["Created At"].dt.date.nunique() == 366


class TestArrivals:
    def test_business_hours_are_busy_and_nights_and_weekends_quiet(self, large: Sample) -> None:
        created = read_times(large.tickets)["Created At"]
        by_hour = created.dt.hour.value_counts()
        assert by_hour[[9, 10, 11]].min() > 10 * by_hour[[0, 1, 2, 3, 4]].max()
        assert by_hour[12] < by_hour[10]
        by_day = created.dt.normalize().value_counts()
        # Medians, because incidents and holidays are no part of the pattern.
        by_weekday = by_day.groupby(by_day.index.day_of_week).median()
        assert by_weekday.idxmax() == 0
        assert by_weekday[[5, 6]].max() < 0.6 * by_weekday[[0, 1, 2, 3, 4]].min()

    def test_volume_grows_mildly(self, large: Sample) -> None:
        created = read_times(large.tickets)["Created At"]
        # Nine whole weeks each, without an incident or a holiday.
        early = created.between("2024-01-08", "2024-03-10 23:59:59").sum()
        late = created.between("2024-10-07", "2024-12-08 23:59:59").sum()
        assert 1.1 < late / early < 1.3

    @pytest.mark.parametrize(
        ("product", "first", "last"),
        [("Mail Server", "2024-03-12", "2024-03-14"), ("Web Hosting", "2024-09-17", "2024-09-18")],
    )
    def test_an_incident_floods_the_desk(
        self, bundled: pd.DataFrame, product: str, first: str, last: str
    ) -> None:
        day = bundled.loc[bundled["Product Purchased"] == product, "Created At"].dt.normalize()
        during = day.between(first, last)
        days = (pd.Timestamp(last) - pd.Timestamp(first)).days + 1
        assert during.sum() / days > 10 * (~during).sum() / (366 - days)

    def test_priority_mix(self, large: Sample) -> None:
        shares = large.tickets["Ticket Priority"].value_counts(normalize=True)
        expected = {"Critical": 0.12, "High": 0.23, "Medium": 0.40, "Low": 0.25}
        for priority, share in expected.items():
            assert shares[priority] == pytest.approx(share, abs=0.015)


class TestTruth:
    def test_within_deciles_breaches_are_as_frequent_as_the_truth_says(
        self, labelled: pd.DataFrame
    ) -> None:
        decile = pd.qcut(labelled["p"], 10, labels=False)
        groups = labelled.assign(variance=labelled["p"] * (1 - labelled["p"])).groupby(decile)
        surprise = (groups["breach"].sum() - groups["p"].sum()) ** 2 / groups["variance"].sum()
        # The 99.9% point of chi-square with 10 degrees of freedom.
        assert surprise.sum() < 29.6

    @pytest.mark.parametrize(
        "segment",
        [
            "`Ticket Priority` == 'Critical'",
            "`Ticket Channel` == 'Chat' and `Ticket Type` == 'Technical issue'",
            "`Product Purchased`.isna()",
            "`Product Purchased` == 'Mail Server' and '2024-03-12' < `Created At` < '2024-03-15'",
            "`Ticket Type` == 'Refund request' and `Created At`.dt.day_of_week == 4",
            "`Ticket Priority` == 'Low' and `Created At`.dt.day_of_week >= 5",
            "`Ticket Priority` == 'High' and `Created At`.dt.hour >= 18",
            "`Created At`.dt.month == 12",
            "`Customer Age` < 30",
        ],
    )
    def test_no_segment_hides_a_risk_that_the_truth_does_not_know(
        self, labelled: pd.DataFrame, segment: str
    ) -> None:
        rows = labelled.query(segment, engine="python")
        assert len(rows) > 100
        error = rows["breach"].sum() - rows["p"].sum()
        assert abs(error) < 3.5 * np.sqrt((rows["p"] * (1 - rows["p"])).sum())

    def test_the_best_possible_model_is_good_and_not_perfect(self, labelled: pd.DataFrame) -> None:
        assert 0.25 < labelled["breach"].mean() < 0.30
        assert 0.80 < roc_auc_score(labelled["breach"], labelled["p"]) <= 0.855

    @pytest.mark.parametrize("priority", TARGETS)
    def test_every_priority_has_safe_and_lost_tickets(
        self, labelled: pd.DataFrame, priority: str
    ) -> None:
        risk = labelled.loc[labelled["Ticket Priority"] == priority, "p"]
        low, high = risk.quantile([0.02, 0.98])
        assert low < 0.03
        assert high > 0.65

    @pytest.mark.parametrize(
        ("cost", "charged", "effect"), [(20, True, 0.8), (2, False, 1.0)], ids=["$20", "$2"]
    )
    def test_knowing_the_truth_beats_every_rule_by_priority(
        self, labelled: pd.DataFrame, cost: float, charged: bool, effect: float
    ) -> None:
        breach_cost = labelled["Ticket Priority"].map(BREACH_COSTS)
        # Escalate where it costs less: p(C charged + (1 - e)B) + (1 - p)C < pB.
        saved = labelled["p"] * (breach_cost * effect - cost * charged)
        costs = {"cost": cost, "charged": charged, "effect": effect}
        informed = measure_loss(labelled, saved > (1 - labelled["p"]) * cost, **costs)
        rules = chain.from_iterable(combinations(TARGETS, size) for size in range(5))
        by_priority = min(
            measure_loss(labelled, labelled["Ticket Priority"].isin(rule), **costs)
            for rule in rules
        )
        assert informed < 0.93 * by_priority

    def test_the_wait_of_a_night_is_shorter_for_critical_tickets(
        self, labelled: pd.DataFrame
    ) -> None:
        hour = labelled["Created At"].dt.hour
        hours = labelled["Time to Resolution"] - labelled["Created At"]
        night, day = hours[hour.isin([20, 21, 22])], hours[hour.isin([9, 10, 11])]
        priority = labelled["Ticket Priority"]
        extra = night.groupby(priority).median() - day.groupby(priority).median()
        assert extra["Critical"] > pd.Timedelta(0)
        assert extra["High"] > 2 * extra["Critical"]
        assert extra["Medium"] > extra["High"]


class TestProcess:
    @pytest.mark.parametrize(
        ("created", "hours"),
        [
            ("2024-03-13T12:00:00", 0.0),  # Wednesday noon: somebody is there
            ("2024-03-13T06:30:00", 1.5),  # before opening
            ("2024-03-13T17:00:00", 7.0),  # half of the last two hours gone: half of 14
            ("2024-03-13T18:00:00", 14.0),  # closed: all of the night
            ("2024-03-15T17:00:00", 31.0),  # Friday: half of 62
            ("2024-03-15T19:00:00", 61.0),  # until Monday at 8
            ("2024-03-17T10:00:00", 22.0),  # Sunday
            ("2024-12-24T18:30:00", 61.5),  # over both days of Christmas
            ("2024-12-31T23:00:00", 33.0),  # over New Year's Day, past the export
        ],
    )
    def test_closed_hours_ahead(self, created: str, hours: float) -> None:
        assert measure_closed_hours(np.array([created], "datetime64[s]")) == pytest.approx([hours])

    def test_probability_is_the_lognormal_tail(self) -> None:
        # ln(1/2) / 0.87 = -0.7967, and the normal distribution is 0.2128 below it.
        priority = pd.Series(["High", "Critical", "Low"])
        probability = compute_breach_probability(priority, np.array([4.0, 8.0, 72.0]))
        assert probability == pytest.approx([0.2128, 0.7872, 0.5], abs=1e-4)

    def test_seed_decides_everything(self) -> None:
        first, again, other = (generate_tickets(300, seed=seed) for seed in (1, 1, 2))
        pd.testing.assert_frame_equal(first.tickets, again.tickets)
        pd.testing.assert_frame_equal(first.truth, again.truth)
        assert not first.tickets["Created At"].equals(other.tickets["Created At"])
        assert not first.truth["breach_probability"].equals(other.truth["breach_probability"])

    @pytest.mark.parametrize("tickets", [1, 2, 30])
    def test_a_tiny_sample_works(self, tickets: int) -> None:
        assert len(generate_tickets(tickets).tickets) == tickets

    def test_no_tickets_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="at least 1, not 0"):
            generate_tickets(0)


class TestOtherDesks:
    """The same tickets, with labels that come later or are wrong."""

    @staticmethod
    def resolution(sample: Sample) -> pd.Series:
        dates = sample.tickets[["Created At", "Time to Resolution"]].apply(pd.to_datetime)
        return dates["Time to Resolution"] - dates["Created At"]

    def test_all_times_are_stretched(self, usual: Sample) -> None:
        stretched = generate_tickets(3_000, seed=5, desk=Desk(stretch=5))
        chance = "breach_probability"
        assert stretched.truth[chance].equals(usual.truth[chance])
        assert (stretched.truth["median_hours"] / usual.truth["median_hours"]).round(9).eq(5).all()
        times = self.resolution(stretched) / self.resolution(usual)
        # whole seconds, and at least two minutes for a ticket
        assert times[self.resolution(usual) > pd.Timedelta("1h")].sub(5).abs().max() < 0.01
        closed = usual.tickets["Customer Satisfaction Rating"].notna() & times.notna()
        ratings = [
            each.tickets["Customer Satisfaction Rating"][closed] for each in (stretched, usual)
        ]
        assert ratings[0].equals(ratings[1])

    def test_some_tickets_are_slow_and_the_truth_knows(self, usual: Sample) -> None:
        slow = generate_tickets(3_000, seed=5, desk=Desk(slow_share=0.2))
        both = self.resolution(slow).notna() & (self.resolution(usual) > pd.Timedelta("1h"))
        times = (self.resolution(slow) / self.resolution(usual))[both]
        assert (times > 7.9).mean() == pytest.approx(0.2, abs=0.03)
        assert times[times < 7.9].sub(1).abs().max() < 0.01
        # P(8 m exp(0.87 z) > t) = Phi(ln(8 m / t) / 0.87), a fifth of the time
        z = usual.truth["breach_probability"].map(NormalDist().inv_cdf) + np.log(8) / 0.87
        expected = 0.8 * usual.truth["breach_probability"] + 0.2 * z.map(NormalDist().cdf)
        assert slow.truth["breach_probability"].to_numpy() == pytest.approx(expected.to_numpy())
        assert "median_hours" not in slow.truth  # a mixture is not lognormal

    def test_an_outage_delays_what_is_written_down(self, usual: Sample) -> None:
        sick = generate_tickets(3_000, seed=5, desk=Desk(outage=("2024-05-06", "2024-05-20")))
        assert sick.truth.equals(usual.truth)
        then, now = (pd.to_datetime(each.tickets["Time to Resolution"]) for each in (usual, sick))
        hit = (then >= "2024-05-06") & (then < "2024-05-20")
        assert hit.sum() > 50
        assert now[~hit].equals(then[~hit])
        assert now[hit].between("2024-05-20 00:00", "2024-05-20 10:00").all()

    def test_the_pace_of_a_type_wanders_and_the_truth_knows(self, usual: Sample) -> None:
        swung = generate_tickets(3_000, seed=5, desk=Desk(swing=0.6))
        both = self.resolution(swung).notna() & (self.resolution(usual) > pd.Timedelta("1h"))
        pace = np.log(self.resolution(swung) / self.resolution(usual))[both]
        assert pace.std() == pytest.approx(0.6, abs=0.15)
        day = pd.to_datetime(usual.tickets["Created At"])[both].dt.date
        spread = pace.groupby([day, usual.tickets["Ticket Type"][both]]).agg(np.ptp)
        assert spread.max() < 0.02, "tickets of a type and a day share it"
        # P(m exp(s + 0.87 z) > t) = Phi(z0 + s / 0.87)
        z = usual.truth["breach_probability"][both].map(NormalDist().inv_cdf) + pace / 0.87
        expected = z.map(NormalDist().cdf)
        assert swung.truth["breach_probability"][both].to_numpy() == pytest.approx(
            expected.to_numpy(), abs=0.005
        )
