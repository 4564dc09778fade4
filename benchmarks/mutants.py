"""Plant 66 faults in central lines, one at a time, and see whether the tests notice.

    python benchmarks/mutants.py [--workers 2] [name ...]

Each fault changes one line of a copy of the package (an inequality, a sign, an index); the tests of
the parts that it touches are then run on that copy until one fails. Prints the faults that no test
noticed and exits with 1 if there are any. A fault whose line is gone, or whose tests cannot be run,
is told and counts as one that no test noticed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutant:
    """A fault: in which file, what is replaced by what, and the tests that should notice."""

    file: str
    old: str
    new: str
    tests: str

    @property
    def name(self) -> str:
        return f"{self.file}: {self.old.strip()} -> {self.new.strip()}"


COSTS = "tests/decisions/test_costs.py src/slarisk/decisions/costs.py"
THRESHOLDS = "tests/decisions/test_thresholds.py"
POLICIES = "tests/decisions/test_policies.py"
SPLITS = "tests/learning/test_splits.py"
GATE = "tests/registry/test_gate.py"
LABELS = "tests/tickets/test_labels.py"
EFFECT, TIMING = "tests/decisions/test_effect.py", "tests/decisions/test_timing.py"
TIMERS, REGRET = "tests/evaluation/test_timers.py", "tests/evaluation/test_regret.py"
CLOCK = "tests/times/test_clock.py"
BASELINES = "tests/evaluation/test_baselines.py"
EVALUATE = "tests/evaluation/test_evaluate.py"
BOOTSTRAP = "tests/stats/test_bootstrap.py"
HONESTY = "tests/training/test_honesty.py"
SEEN = "tests/model"
STOPPING = "tests/decisions/test_stopping.py"
LANDMARKS = "tests/learning/test_landmarks.py"
CHANGES = "tests/tickets/test_changes.py"
PROMOTION = "tests/registry/test_promotion.py"

MUTANTS = [
    Mutant("decisions/costs.py", "alarm = self.fp - self.tn", "alarm = self.fp + self.tn", COSTS),
    Mutant("decisions/costs.py", "alarm + self.fn - self.tp", "alarm + self.fn + self.tp", COSTS),
    Mutant("decisions/costs.py", "where=denominator > 0", "where=denominator >= 0", COSTS),
    Mutant(
        "decisions/costs.py",
        "probability * self.fn + (1 - probability) * self.tn",
        "probability * self.tn + (1 - probability) * self.fn",
        COSTS,
    ),
    Mutant(
        "decisions/costs.py",
        "escalation * charged + (1 - effectiveness) * breach",
        "escalation * charged + effectiveness * breach",
        COSTS,
    ),
    Mutant(
        "decisions/costs.py",
        "np.where(breach, self.tp, self.fp)",
        "np.where(breach, self.fp, self.tp)",
        COSTS,
    ),
    Mutant(
        "decisions/policies.py",
        "np.greater(probability, self.",
        "np.greater_equal(probability, self.",
        POLICIES,
    ),
    Mutant(
        "decisions/policies.py",
        "np.greater_equal(probability, self.threshold)",
        "np.greater(probability, self.threshold)",
        POLICIES,
    ),
    Mutant(
        "decisions/policies.py",
        "place_of_day < self.per_day",
        "place_of_day <= self.per_day",
        POLICIES,
    ),
    Mutant(
        "decisions/policies.py",
        "rank_tickets(costs.expected_saving",
        "rank_tickets(-costs.expected_saving",
        POLICIES,
    ),
    Mutant("decisions/shortlist.py", "places < start + count", "places <= start + count", POLICIES),
    Mutant(
        "decisions/thresholds.py",
        "np.lexsort((extra, -score))",
        "np.lexsort((extra, score))",
        THRESHOLDS,
    ),
    Mutant(
        "decisions/thresholds.py",
        "extra = escalated - left",
        "extra = left - escalated",
        THRESHOLDS,
    ),
    Mutant(
        "decisions/thresholds.py",
        "np.argmax(losses <= lowest + slack, axis=1)",
        "np.argmax(losses <= lowest, axis=1)",
        THRESHOLDS,
    ),
    Mutant(
        "decisions/thresholds.py",
        "score >= threshold).sum()",
        "score > threshold).sum()",
        THRESHOLDS,
    ),
    Mutant("decisions/thresholds.py", "[tail, 1 - tail]", "[tail, 1 - 2 * tail]", THRESHOLDS),
    Mutant("learning/splits.py", "before = (created < cut)", "before = (created <= cut)", SPLITS),
    Mutant(
        "learning/splits.py",
        '(tickets["label_known_at"] < cut)',
        '(tickets["label_known_at"] <= cut)',
        SPLITS,
    ),
    Mutant("learning/splits.py", "eligible = before & recent", "eligible = before", SPLITS),
    Mutant("learning/splits.py", "((created >= cut) & ~after)", "(created >= cut)", SPLITS),
    Mutant("learning/splits.py", "eligible=False)]", "eligible=True)]", f"{SPLITS} {HONESTY}"),
    Mutant(
        "learning/splits.py",
        "after = created >= read_moment",
        "after = created > read_moment",
        SPLITS,
    ),
    Mutant("registry/gate.py", "saved = rival - candidate", "saved = candidate - rival", GATE),
    Mutant("registry/gate.py", "resampled = max(intervals", "resampled = min(intervals", GATE),
    Mutant(
        "registry/gate.py",
        "if tickets < config.fewest_tickets",
        "if tickets <= config.fewest_tickets",
        GATE,
    ),
    Mutant(
        "registry/gate.py",
        "min(breached, tickets - breached) < config.",
        "max(breached, tickets - breached) < config.",
        GATE,
    ),
    Mutant("registry/gate.py", "if value <= 0", "if value < 0", GATE),
    Mutant("registry/gate.py", "clearly and low <= 0", "clearly and low < 0", GATE),
    Mutant("registry/gate.py", "comparison.high < -margin", "comparison.high < margin", GATE),
    Mutant(
        "tickets/labels.py",
        "(resolved > overdue_at).mask(given",
        "(resolved >= overdue_at).mask(given",
        LABELS,
    ),
    Mutant("times/clock.py", "counted <= ahead[rows]", "counted < ahead[rows]", CLOCK),
    Mutant("times/clock.py", "np.maximum(begins, covered)", "begins", CLOCK),
    Mutant("times/clock.py", "days[~np.isin(days, off)]", "days", CLOCK),
    Mutant("tickets/labels.py", "(overdue_at < observed)", "(overdue_at <= observed)", LABELS),
    Mutant(
        "tickets/labels.py",
        "overdue_at.where(late & ~(resolved < overdue_at), resolved)",
        "resolved.where(late & ~(resolved < overdue_at), overdue_at)",
        LABELS,
    ),
    Mutant("tickets/labels.py", "creation.high_hours + 1", "creation.high_hours", LABELS),
    Mutant(
        "evaluation/baselines.py",
        "costs.losses(breach, np.zeros_like(breach)) - costs.losses(breach, np.ones",
        "costs.losses(breach, np.zeros_like(breach)) + costs.losses(breach, np.ones",
        BASELINES,
    ),
    Mutant(
        "evaluation/baselines.py",
        "(breached[key] + prior) / (n + PRIOR_TICKETS)",
        "(breached[key] + prior) / n",
        BASELINES,
    ),
    Mutant(
        "evaluation/evaluate.py",
        "(loss - true_loss) / winnable",
        "(true_loss - loss) / winnable",
        EVALUATE,
    ),
    Mutant(
        "evaluation/evaluate.py",
        "winnable = baseline_loss - true_loss",
        "winnable = true_loss - baseline_loss",
        EVALUATE,
    ),
    Mutant("stats/bootstrap.py", "known = day >= 0", "known = day > 0", BOOTSTRAP),
    Mutant(
        "stats/bootstrap.py",
        "weights=difference[known]",
        "weights=np.abs(difference[known])",
        BOOTSTRAP,
    ),
    Mutant(
        "learning/crossfit.py",
        "cross_calibrate(\n        calibration, score[chosen], breach[chosen], "
        "fold_of[chosen]\n    )",
        "calibrator.apply(score[chosen])",
        f"tests/learning/test_crossfit.py {HONESTY}",
    ),
    Mutant(
        "learning/crossfit.py",
        "fit_calibrator(calibration, score[chosen], breach[chosen])",
        "fit_calibrator(calibration, score, breach)",
        f"tests/learning/test_crossfit.py {HONESTY}",
    ),
    Mutant(
        "model/bundle.py",
        "np.where(np.isnan(out_of_fold), by_model, out_of_fold)",
        "by_model",
        SEEN,
    ),
    Mutant(
        "training/pack.py",
        'seen.loc[held_out.test, "origin"] = TEST',
        'seen.loc[held_out.train, "origin"] = TEST',
        f"{SEEN} {HONESTY}",
    ),
    Mutant(
        "training/pack.py",
        'training["breach_cost"].mean()',
        'tickets.frame["breach_cost"].mean()',
        f"{SEEN} {HONESTY}",
    ),
    Mutant("decisions/effect.py", "(age >= target)", "(age > target)", EFFECT),
    Mutant(
        "decisions/effect.py",
        "np.log(left / policy.expedited_share)",
        "np.log(left * policy.expedited_share)",
        EFFECT,
    ),
    Mutant("decisions/timing.py", "at < times.open_hours", "at <= times.open_hours", TIMING),
    Mutant("decisions/timing.py", "lost * self.averted", "self.averted", TIMING),
    Mutant("evaluation/timers.py", 'shares, side="right"', 'shares, side="left"', TIMERS),
    Mutant("evaluation/timers.py", "ends = ends[ends < 1]", "ends = ends[ends < 0.9]", TIMERS),
    Mutant("evaluation/regret.py", "better = extra < least", "better = extra > least", REGRET),
    Mutant(
        "decisions/arrivals.py",
        "amount > prices[hour][left - 1]",
        "amount > prices[hour][0]",
        "tests/decisions/test_arrivals.py",
    ),
    Mutant("decisions/stopping.py", "np.cumsum(acted - later)", "np.cumsum(acted)", STOPPING),
    Mutant(
        "decisions/stopping.py", "later[tickets[fires]] = acted", "later[tickets] = acted", STOPPING
    ),
    Mutant("decisions/stopping.py", "if len(here) >= fewest:", "if len(here) > fewest:", STOPPING),
    Mutant("decisions/stopping.py", "_odds(probability) / even", "_odds(probability)", STOPPING),
    Mutant("decisions/timing.py", "tp=self.costs.tp + lost", "tp=self.costs.tp - lost", STOPPING),
    Mutant("learning/landmarks.py", "(age < open_hours) &", "(age <= open_hours) &", LANDMARKS),
    Mutant("learning/landmarks.py", "moments[reached] < np", "moments[reached] <= np", LANDMARKS),
    Mutant("tickets/changes.py", 'moments, side="right"', 'moments, side="left"', CHANGES),
    Mutant("tickets/changes.py", ")[_AT].cummax()", ")[_AT].cummin()", CHANGES),
    Mutant(
        "registry/promotion.py", "int(number) < int(version", "int(number) > int(version", PROMOTION
    ),
    Mutant(
        "registry/promotion.py",
        "for number in left_over:",
        "for number in state.unfinished:",
        PROMOTION,
    ),
]


def find_failure(mutant: Mutant, folder: Path) -> tuple[bool, str]:
    """Run the tests on a faulty copy; whether one failed, and which, or why none could."""
    source = folder / "src"
    shutil.copytree(ROOT / "src", source)
    path = source / "slarisk" / mutant.file
    text = path.read_text()
    if text.count(mutant.old) < 1:
        return False, "the line is not there"
    path.write_text(text.replace(mutant.old, mutant.new, 1))
    tests = [t.replace("src/", f"{source}/") for t in mutant.tests.split()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if failed and done.returncode in (1, 2):  # some tests failed, or could not be imported
        return True, failed[0]
    return False, "" if done.returncode == 0 else f"pytest ended with {done.returncode}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only faults whose name contains one of these")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.names or any(n in m.name for n in asked.names)]
    missed = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.workers) as pool:
        parts = [Path(folder) / str(number) for number in range(len(chosen))]
        found = pool.map(find_failure, chosen, parts)
        for mutant, (caught, words) in zip(chosen, found, strict=True):
            print(f"{'caught' if caught else 'MISSED'}  {mutant.name}\n        {words}", flush=True)
            missed += [] if caught else [mutant]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
