import numpy as np
import pytest

from slarisk.config import PromoteConfig, Resample
from slarisk.errors import InputError
from slarisk.registry.gate import (
    FEWEST_DAYS,
    REQUIRED_METRICS,
    Comparison,
    GateResult,
    compare_losses,
    list_challenge_reasons,
    list_loss_mismatches,
    list_record_reasons,
    list_run_reasons,
    list_sample_size_reasons,
    list_value_reasons,
    measure_quality,
)
from slarisk.stats.bootstrap import day_interval, paired_interval

METRICS = dict.fromkeys(REQUIRED_METRICS, 1.0)


def saves(value, low, high, tickets=100):
    """A comparison in which the candidate saves so many dollars."""
    return Comparison(tickets, 0.0, float(value), -value / tickets, -high / tickets, -low / tickets)


def compare(candidate, rival, day=None, **config):
    """Compare on tickets of unknown days, unless days are given."""
    unknown = np.full(len(candidate), -1)
    settings = {"bootstrap_draws": 200} | config
    return compare_losses(
        candidate, rival, unknown if day is None else day, PromoteConfig(**settings)
    )


def test_only_a_finished_training_run_can_be_judged():
    assert list_record_reasons("FINISHED", METRICS) == []
    for status in ("FAILED", "KILLED", "RUNNING"):
        (reason,) = list_record_reasons(status, METRICS)
        assert status in reason
    (reason,) = list_record_reasons("FINISHED", {"accuracy": 1.0})
    assert "expected_loss" in reason


def test_an_optimistic_run_or_a_failed_check_is_refused():
    fine = {"optimistic": "false", "failed_checks": "none"}
    assert list_run_reasons(fine, False, "none", {}) == []
    (reason,) = list_run_reasons(
        fine | {"optimistic": "true", "failed_checks": "SR002"}, False, "none", {}
    )
    assert "optimistic" in reason
    (reason,) = list_run_reasons(fine | {"failed_checks": "SR009"}, False, "none", {})
    assert "SR009" in reason


def test_a_failed_check_is_accepted_by_name_and_for_a_reason():
    tags = {"optimistic": "false", "failed_checks": "SR009 SR010"}
    why = {"SR010": "one script closes all tickets of a street"}
    (reason,) = list_run_reasons(tags, False, "SR009 SR010", why)
    assert "SR009" in reason
    assert "SR010" not in reason
    assert list_run_reasons(tags, False, "none", why | {"SR009": "given at the counter"}) == []
    for wrong in ({"SR011": "it passed"}, {"SR010": " "}):
        with pytest.raises(InputError, match=f"accept.{next(iter(wrong))}"):
            list_run_reasons(tags, False, "none", wrong)
    # what is optimistic is refused, whatever is accepted
    assert list_run_reasons(tags | {"optimistic": "true"}, False, "none", why)


def test_tags_that_were_edited_take_no_reason_away():
    fine = {"optimistic": "false", "failed_checks": "none"}
    assert "optimistic" in list_run_reasons(fine, True, "none", {})[0]
    assert (
        "SR008 SR009" in list_run_reasons(fine | {"failed_checks": "SR009"}, False, "SR008", {})[0]
    )
    assert len(list_run_reasons({"optimistic": "false"}, False, "none", {})) == 1


@pytest.mark.parametrize("clearly", [True, False])
def test_a_run_that_adds_nothing_is_refused_always(clearly):
    for amount in (0, -20):
        (reason,) = list_value_reasons(saves(amount, -90, 40), "priority", clearly)
        assert "'priority'" in reason
    assert "-$20 [-$90 to $40]" in reason


def test_an_interval_that_holds_zero_is_refused_unless_accepted():
    (reason,) = list_value_reasons(saves(20, 0, 40), "always", clearly=True)
    assert "clearly_beat_baseline=false" in reason
    assert list_value_reasons(saves(20, 0, 40), "always", clearly=False) == []
    assert list_value_reasons(saves(20, 1, 40), "always", clearly=True) == []


def test_the_best_rule_is_the_one_that_loses_least():
    rules = {"never": 900.0, "priority": 150.0, "segment": 150.0}
    rules = {name: Comparison(100, 0, loss, 0, 0, 0) for name, loss in rules.items()}
    assert GateResult(rules=rules).best_rule == "priority"


@pytest.mark.parametrize(
    ("tickets", "breached", "passes"),
    [
        (200, 30, True),
        (199, 30, False),
        (200, 29, False),
        (200, 170, True),
        (200, 171, False),  # too few that did not breach
    ],
)
def test_few_tickets_of_a_kind_are_refused(tickets, breached, passes):
    breach = np.arange(tickets) < breached
    assert (list_sample_size_reasons(breach, PromoteConfig()) == []) is passes


def test_losses_are_compared_pair_by_pair():
    rng = np.random.default_rng(0)
    champion = rng.choice([0.0, 20, 500], 400)  # tickets differ a lot, the two decisions hardly
    candidate = champion - 1
    found = compare(candidate, champion)

    assert (found.tickets, found.difference, found.low, found.high) == (400, -1, -1, -1)
    assert found.rival_loss - found.candidate_loss == 400


def test_the_interval_of_a_comparison_is_per_ticket_and_repeatable():
    rng = np.random.default_rng(1)
    candidate, champion = rng.choice([0.0, 10], (2, 900))
    found = compare(candidate, champion, bootstrap_draws=2000)
    error = (candidate - champion).std() / np.sqrt(900)

    assert found.difference == pytest.approx((candidate - champion).mean())
    assert found.low == pytest.approx(found.difference - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.difference + 1.96 * error, abs=0.2 * error)
    assert compare(candidate, champion, bootstrap_draws=2000) == found
    wider = compare(candidate, champion, bootstrap_draws=2000, confidence=0.99)
    assert wider.low < found.low < found.high < wider.high


@pytest.mark.parametrize(
    ("low", "high", "margin", "passes"),
    [
        (-3, -1, 0, True),
        (-3, 0, 0, False),  # the interval must lie below the margin, not touch it
        (-3, 1, 0, False),
        (1, 3, 0, False),
        (-3, -1, 1, False),
        (-3, -1.1, 1, True),
        (-1, 0.5, -1, True),  # a negative margin accepts a little worse
    ],
)
def test_the_challenger_must_be_better_by_the_margin(low, high, margin, passes):
    comparison = Comparison(100, 0, 0, (low + high) / 2, low, high)
    assert (list_challenge_reasons(comparison, margin) == []) is passes


def test_the_refusal_tells_losing_from_not_knowing():
    (reason,) = list_challenge_reasons(Comparison(1500, 0, 0, 0.25, -0.5, 1), 0)
    assert "1,500 tickets" in reason
    assert "+0.25 dollars per ticket [-0.50 to +1.00]" in reason
    (unsure,) = list_challenge_reasons(Comparison(1500, 0, 0, -0.25, -0.5, 1), 0.1)
    assert "margin 0.10" in unsure
    assert unsure.split(" the champion")[0] != reason.split(" the champion")[0]


def test_the_wider_of_two_intervals_counts():
    """Of 20 days, on which the same happened to each ticket of a day: days are wider."""
    rng = np.random.default_rng(2)
    rival, day = np.repeat(rng.choice([0.0, 20], 20), 15), np.repeat(np.arange(20), 15)
    none = np.zeros(300)
    wide, narrow = (
        compare(none, rival, day, resample=each) for each in (Resample.days, Resample.tickets)
    )
    assert (wide.resampled, narrow.resampled) == (Resample.days, Resample.tickets)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)
    assert compare(none, rival, day) == wide
    low, high = day_interval(rival, day, 200, 0.95, np.random.default_rng(42))
    assert wide.saved[1:] == pytest.approx((low, high), rel=1e-12)
    low, high = paired_interval(rival, 200, 0.95, np.random.default_rng(42))
    assert narrow.saved[1:] == pytest.approx((low, high), rel=1e-12)

    shuffled = rng.permutation(np.tile([0.0, 20] * 15, 10))  # a day is like another: 7 or 8 of 15
    even = np.concatenate([np.tile([0.0, 20], 150)])
    assert compare(np.zeros(300), even, day).resampled is Resample.tickets
    assert compare(np.zeros(300), shuffled, np.full(300, -1)).resampled is Resample.tickets


@pytest.mark.parametrize("resample", [Resample.widest, Resample.days])
def test_a_few_days_are_not_resampled(resample):
    rival = np.repeat([0.0, 20], 150)
    for days, drawn in ((FEWEST_DAYS - 1, Resample.tickets), (FEWEST_DAYS, Resample.days)):
        found = compare(np.zeros(300), rival, np.arange(300) * days // 300, resample=resample)
        assert found.resampled is drawn


def test_quality_is_measured_by_hand():
    """Ranks: of 2 x 2 pairs 3 are in order; precision is 1/1 at the first, 2/3 at the second."""
    breach = np.array([True, False, True, False])
    probability = np.array([0.9, 0.6, 0.5, 0.1])
    found = measure_quality(breach, probability, np.array([True, True, True, False]))

    assert found["roc_auc"] == 3 / 4
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.5 + 0.1) / 4)
    assert found["escalation_rate"] == 3 / 4
    none_breached = measure_quality(np.zeros(4, dtype=bool), probability, breach)
    assert set(none_breached) == {"calibration_error", "escalation_rate"}


def test_a_loss_that_does_not_come_out_again_is_told():
    logged = {"expected_loss": 1000.0, "baseline_never_loss": 2000.0}
    assert list_loss_mismatches({"expected_loss": 1000 * (1 + 1e-12)}, logged) == []
    reasons = list_loss_mismatches({"expected_loss": 1020.0, "baseline_never_loss": 1900.0}, logged)
    assert [reason.split()[0] for reason in reasons] == ["expected_loss", "baseline_never_loss"]
    assert "$1,020" in reasons[0]
    assert "$1,000" in reasons[0]
    (reason,) = list_loss_mismatches({"baseline_timer_loss": 1.0}, logged)
    assert "baseline_timer_loss" in reason
