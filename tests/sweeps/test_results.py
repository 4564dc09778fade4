import re
import shlex

import pytest

from slarisk.config import Stage
from slarisk.sweeps.results import (
    find_best,
    format_command,
    format_job_summary,
    format_results,
    format_sweep_summary,
    format_value_summary,
    list_varied_keys,
    tabulate_jobs,
)
from slarisk.sweeps.runs import JobRun

MLFLOW_LIMIT = 8000  # characters of a description: MLflow cuts the rest off


def job(objective=1.0, *overrides, value=(5, 1, 9), status="FINISHED", **others):
    """A job; ``value`` is its value over the best rule, with the ends of the interval."""
    metrics = {} if objective is None else {"objective": objective, "training_seconds": 0.5}
    if metrics:
        for name, (middle, low, high) in (
            ("expected_loss", (100, 90, 1110)),
            ("value_over_baseline", value),
        ):
            metrics |= {name: middle, f"{name}_low": low, f"{name}_high": high}
    fields = {
        "run_id": f"run-{'-'.join(overrides) or objective}",
        "name": "lr notebook sample",
        "stage": Stage.trial,
        "trial": None,
        "failure": None,
        "seconds": 12.34,
        "has_model": False,
    }
    return JobRun(status=status, overrides=overrides, metrics=metrics, **(fields | others))


def failed(*overrides, failure="no such column", **others):
    return job(None, *overrides, status="FAILED", failure=failure, **others)


# The best ---------------------------------------------------------------------------------------


def test_the_best_job_has_the_lowest_objective_the_first_of_equals():
    jobs = [job(3.0), job(2.0, run_id="first"), job(2.0, run_id="second"), job(4.0)]
    assert find_best(jobs).run_id == "first"
    assert find_best(jobs[::-1]).run_id == "second"


def test_only_finished_jobs_can_be_the_best():
    jobs = [job(1.0, status=status) for status in ("FAILED", "KILLED", "RUNNING")]
    jobs += [failed(), job(None)]
    assert find_best(jobs) is None
    assert find_best([]) is None
    sound = job(9.0)
    assert find_best([*jobs, sound]) is sound


def test_the_test_tickets_do_not_choose_the_best():
    by_objective, by_test = job(1.0, value=(-50, -90, -10)), job(2.0, value=(50, 10, 90))
    by_test.metrics["expected_loss"] = 0
    assert find_best([by_test, by_objective]) is by_objective


def test_the_luckiest_seed_is_not_the_best():
    lucky = [
        job(value, "model.C=1", f"model.random_state={seed}")
        for seed, value in enumerate([1.0, 3.0, 4.0, 6.0])
    ]
    assert find_best(lucky[:3]) is lucky[1]
    assert find_best(lucky) is lucky[2]  # of two in the middle the worse
    other = job(2.0, "model.C=2", "model.random_state=0")
    assert find_best([*lucky, other]) is other
    same = [job(1.0, "model.C=1", "split.seed=1"), job(2.0, "model.C=1", "split.seed=2")]
    assert find_best(same) is same[0]  # other tickets are not another seed of the model


# The table --------------------------------------------------------------------------------------


def test_the_choices_that_vary_are_named_in_the_order_they_were_given():
    jobs = [
        job(1, "split.folds=3", "model=lr", "features=notebook", "model.C=1"),
        job(2, "split.folds=3", "model=rf", "features=notebook"),
        job(3, "split.folds=3", "model=rf", "features=calendar"),
    ]
    assert list_varied_keys(jobs) == ["model", "features", "model.C"]
    assert list_varied_keys(jobs[:1]) == []
    assert list_varied_keys([]) == []


def test_a_value_may_hold_an_equals_sign():
    jobs = [job(1, "note='a=1'"), job(2, "note='a=2'")]
    assert tabulate_jobs(jobs)["note"].tolist() == ["'a=1'", "'a=2'"]


def test_the_table_has_the_best_first_and_those_without_an_objective_last():
    jobs = [
        failed("model=gbm"),
        job(3.0, "model=lr", seconds=None),
        job(None, "model=nb", status="KILLED", failure="interrupted"),
        job(2.0, "model=rf", value=(5, -1, 11)),
        job(3.0, "model=svm"),
    ]
    table = tabulate_jobs(jobs)
    assert table["model"].tolist() == ["rf", "lr", "svm", "gbm", "nb"]
    assert table.columns.tolist() == [
        *("model", "objective", "expected_loss", "expected_loss_low", "expected_loss_high"),
        *("value_over_baseline", "value_over_baseline_low", "value_over_baseline_high"),
        *("seconds", "status", "failure", "run", "run_id"),
    ]
    assert table["objective"].tolist()[:3] == [2.0, 3.0, 3.0]
    assert table["objective"].isna().tolist() == [False, False, False, True, True]
    assert table["failure"].tolist() == ["", "", "", "no such column", "interrupted"]
    best = table.iloc[0]
    assert (best["value_over_baseline_low"], best["value_over_baseline_high"]) == (-1, 11)
    assert (best["seconds"], best["run"], best["run_id"]) == (
        *(12.34, "lr notebook sample"),
        "run-model=rf",
    )


def test_a_choice_that_a_job_does_not_have_is_empty():
    table = tabulate_jobs([job(1, "model=lr", "model.C=2"), job(2, "model=rf")])
    assert table["model.C"].tolist() == ["2", ""]


# As text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model=lr", "features=calendar"],
        ["data.path=my tickets.csv", "note=it's", "model.x=$HOME;rm *", 'a="b"', "b=[a, b]"],
        ["features.calendar=[hour,weekday]", "+data.values={a: {b: 'c | d'}}"],
    ],
)
def test_the_command_can_be_pasted(overrides):
    assert shlex.split(format_command(overrides)) == ["python", "train.py", *overrides]


BETTER, UNCLEAR, WORSE = (5, 1, 9), (5, -1, 9), (-5, -9, -1)


@pytest.mark.parametrize(
    ("values", "figures"),
    [
        ([WORSE, (0, 0, 0)], ["2"]),  # none of 2 is better
        ([(-5, -9, 9)], ["1"]),
        ([UNCLEAR, WORSE], ["1", "2", "0"]),  # 1 of 2, and the interval holds 0
        ([(5, 0, 9)], ["1", "1", "0"]),
        ([BETTER, UNCLEAR, WORSE], ["2", "3", "1", "0"]),  # 2 of 3, 1 of them excludes 0
        ([BETTER, BETTER], ["2", "2", "2", "0"]),
    ],
)
def test_the_jobs_that_beat_the_rules_are_counted(values, figures):
    jobs = [job(number, value=value) for number, value in enumerate(values)]
    summary = format_value_summary([*jobs, failed(), job(0.5, value=BETTER, status="KILLED")])
    assert re.findall(r"\d+", summary) == figures
    assert summary in format_results(jobs)


def test_jobs_are_counted_by_how_they_ended():
    jobs = [job(2.5), failed(), failed(), job(None, status="KILLED"), job(None, status="RUNNING")]
    figures = re.findall(r"\d\S*", format_sweep_summary(jobs))
    assert figures == ["1", "5", "2", "1", "1", "2.5000."]
    assert re.findall(r"\d\S*", format_sweep_summary(jobs[1:2])) == ["0", "1", "1"]
    assert re.findall(r"\d\S*", format_sweep_summary(jobs[:1])) == ["1", "1", "2.5000."]


def test_the_summary_of_a_job_has_its_metrics():
    summary = format_job_summary("lr", job(2.5).metrics)
    figures = ["lr: ", " 2.5000; ", " $100, ", " $5 [$1 to $9]; ", " 0.5 s"]
    assert [each for each in figures if each not in summary] == []
    assert "\n" not in summary


def rows(description):
    return [line for line in description.splitlines() if line.startswith("|")]


def cells(row):
    """The cells of a row as Markdown reads them: an escaped pipe does not end one."""
    parts = row.replace("\\|", "\0").strip("|").split("|")
    return [part.strip().replace("\0", "|") for part in parts]


def test_the_description_has_summary_command_and_table():
    jobs = [job(2.0, "model=rf", "a=b c"), job(1.0, "model=lr", "a=b c")]
    text = format_results(jobs, ["More that is known."])
    assert text.startswith("**2 of 2 ")
    assert text.index("\n\nMore that is known.\n\n") < text.index(
        "`python train.py model=lr 'a=b c'`\n\n|"
    )
    header, rule, *body = map(cells, rows(text))
    assert header == ["model", "objective", "test loss", "value over best rule", "s"]
    assert len(rule) == 5
    assert body == [
        ["lr", "1.0000", "$100 [$90 to $1,110]", "$5 [$1 to $9]", "12.3"],
        ["rf", "2.0000", "$100 [$90 to $1,110]", "$5 [$1 to $9]", "12.3"],
    ]


def test_jobs_that_failed_say_why_and_do_not_break_the_table():
    jobs = [
        job(1.0, "a=x|y"),
        failed("a=u|v", failure="'p|q' is wrong\nsecond line"),
        job(None, "a=z", status="KILLED", failure="interrupted", seconds=None),
        failed("a=long", failure="|" * 300),
    ]
    table = [cells(row) for row in rows(format_results(jobs))[2:]]
    assert [row[0] for row in table] == ["x|y", "u|v", "z", "long"]
    assert {len(row) for row in table} == {5}
    assert [row[2] for row in table[1:3]] == ["FAILED 'p|q' is wrong", "KILLED interrupted"]
    assert len(table[3][2]) < 130


def test_without_a_finished_job_there_is_only_the_table():
    text = format_results([failed("model=a"), failed("model=b", failure="worse")])
    assert "`" not in text  # no command
    assert [cells(row)[2] for row in rows(text)[2:]] == ["FAILED no such column", "FAILED worse"]


def test_jobs_in_which_nothing_varies_are_listed_by_name():
    header, _, row = rows(format_results([job(1.0, "model=lr", name="a|b")]))
    assert cells(header)[0] == "job"
    assert cells(row)[0] == "a|b"
    assert len(cells(row)) == len(cells(header))


def test_the_description_shows_25_jobs_and_says_where_all_are():
    jobs = [job(number, f"n={number}") for number in range(26, 0, -1)]
    text = format_results(jobs)
    assert [cells(row)[0] for row in rows(text)[2:]] == [str(n) for n in range(1, 26)]
    assert "26" in text.splitlines()[-1]
    assert "results.csv" in text.splitlines()[-1]
    assert "results.csv" not in format_results(jobs[:25])


@pytest.mark.parametrize("choices", [1, 7, 60])
@pytest.mark.parametrize("length", [10, 300, 5000])
def test_the_description_of_a_big_sweep_stays_within_mlflows_limit(choices, length):
    keys = [f"features.a_key_of_some_length_{key}" for key in range(choices)]
    jobs = [
        job(n, *(f"{key}={n}{'x' * length}" for key in keys), run_id=f"run-{n}") for n in range(96)
    ]
    jobs += [failed("model=gbm", failure="|" * 500)]
    text = format_results(jobs, ["What the seeds say: " + "s" * 500])
    assert len(text) <= MLFLOW_LIMIT
    assert text.startswith("**96 of 97 jobs")
    assert "What the seeds say" in text
    assert format_value_summary(jobs) in text
    assert "97" in text.splitlines()[-1]
    assert text.count("`") == 2  # the command is whole, or another that does the same
    command = shlex.split(text.split("`")[1])
    assert command[2:] in ([*jobs[0].overrides], [f"from_run={jobs[0].run_id}"])
    assert {len(cells(row)) for row in rows(text)} <= {choices + 1 + 4}
