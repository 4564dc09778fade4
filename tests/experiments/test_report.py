from dataclasses import replace

import pandas as pd
import pytest

from lab.estimates import make_rows
from lab.recipe import ColumnSpec, FigureSpec, Recipe, StudyPart, TableSpec, plan_jobs
from lab.report import BEGIN, END, fill_readme, format_table, format_tables, write_study_report
from lab.results import DIGITS, join_results, keep_results, tabulate_runs
from slarisk.errors import InputError

RECIPE = Recipe(
    axes={"rule": {"one": "decision=threshold", "each": "decision=per_ticket"}},
    parts={"sample": StudyPart(over="samples", draws=["a=1", "a=2"]), "kaggle": StudyPart()},
    tables=[
        TableSpec(
            {
                "loss": ColumnSpec("expected_loss"),
                "more": ColumnSpec("expected_loss", against={"rule": "each"}),
                "AUC": ColumnSpec("roc_auc", "number", digits=2, interval=False),
            },
            baselines="rule",
            figure=FigureSpec("loss.svg", "loss"),
        )
    ],
)
# by draw: 500 test tickets; "one" loses 110 and 130, "each" 100 and 100
LOSSES = [110, 130, 100, 100, 50, 40]


def metrics(loss):
    baselines = {"never": 400, "always": 300, "priority": 200, "segment": 150}
    run = {f"baseline_{name}_loss": value for name, value in baselines.items()}
    run |= {"expected_loss": loss, "expected_loss_low": loss - 5, "expected_loss_high": loss + 5}
    run |= {"best_baseline_loss": 150, "value_over_baseline": 150 - loss, "roc_auc": 0.81}
    return run | {"test_tickets": 500, "train_tickets": 2000, "seconds": 3.2}


@pytest.fixture
def results():
    return tabulate_runs(plan_jobs(RECIPE), [metrics(loss) for loss in LOSSES])


def find(results, **labels):
    rows = make_rows(results, RECIPE, RECIPE.tables[0])
    return next(row for row in rows if row.labels.items() >= labels.items()).cells


def test_money_is_per_thousand_tickets_and_its_interval_over_the_draws(results):
    cell = find(results, data="sample", rule="one")["loss"]
    assert cell.mean == 240  # of 220 and 260
    assert cell.high - cell.mean == pytest.approx(12.706205 * 20)  # t(.975, 1) * sd / sqrt(2)


def test_a_difference_is_paired_by_draw(results):
    assert find(results, data="sample", rule="one")["more"].mean == 40  # of 20 and 60
    assert find(results, data="sample", rule="each")["more"] is None


def test_a_difference_may_be_to_a_row_that_is_left_out(results):
    table = replace(RECIPE.tables[0], where={"rule": ["one"]}, baselines=None)
    rows = make_rows(results, RECIPE, table)
    assert [row.labels for row in rows] == [
        {"data": data, "rule": "one"} for data in ("sample", "kaggle")
    ]
    assert rows[0].cells["more"].mean == 40


def test_only_labels_of_an_axis_can_be_chosen(results):
    with pytest.raises(InputError, match="colour"):
        make_rows(results, RECIPE, TableSpec({}, where={"colour": ["red"]}))


def test_one_draw_alone_has_the_interval_over_its_tickets(results):
    cell = find(results, data="kaggle", rule="one")["loss"]
    assert (cell.mean, cell.low, cell.high) == (100, 90, 110)


def test_trivial_rules_are_rows(results):
    assert find(results, data="kaggle", rule="segments")["loss"].mean == 300
    assert find(results, data="kaggle", rule="never")["more"].mean == 800 - 80
    assert find(results, data="kaggle", rule="never")["AUC"] is None


def test_the_table_names_what_varies(results):
    lines = format_table(
        make_rows(results, RECIPE, RECIPE.tables[0]), RECIPE.tables[0]
    ).splitlines()
    assert lines[0] == "| data | rule | loss | more | AUC |"
    assert lines[-1] == "| kaggle | each | $80 [$70 to $90] |  | 0.81 |"
    assert len(lines) == 2 + 2 * 6


def test_results_say_nothing_of_time_and_have_no_minus_zero():
    table = tabulate_runs(plan_jobs(RECIPE)[:1], [metrics(150) | {"value_over_baseline": -1e-9}])
    assert set(table) == {"data", "rule", "draw", *DIGITS}
    assert table["value_over_baseline"].tolist() == ["0"]
    assert table["regret"].tolist() == [""]


def test_results_of_a_part_that_cannot_be_run_are_kept(tmp_path, results):
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    write_study_report(tmp_path, RECIPE, results)
    jobs = plan_jobs(RECIPE)
    kept = keep_results(tmp_path, [job for job in jobs if job.labels["data"] == "sample"])
    assert kept["expected_loss"].tolist() == ["110", "130", "100", "100"]
    fresh = tabulate_runs(jobs[4:], [metrics(loss) for loss in LOSSES[4:]])
    pd.testing.assert_frame_equal(
        join_results(jobs, [fresh, kept]).reset_index(drop=True), results, check_dtype=False
    )


def test_written_twice_the_files_are_the_same(tmp_path, results):
    (tmp_path / "README.md").write_text(f"# Why?\n\n{BEGIN}\n{END}\n\nBecause.\n")
    write_study_report(tmp_path, RECIPE, results)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {"README.md", "results.csv", "loss.svg"}
    write_study_report(tmp_path, RECIPE, results)
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    page = first["README.md"].decode()
    assert page.startswith("# Why?\n")
    assert page.endswith("\n\nBecause.\n")
    assert format_tables(results, RECIPE) in page
    assert b"<dc:date>" not in first["loss.svg"]


def test_a_page_without_marks_is_refused(tmp_path):
    (tmp_path / "README.md").write_text(f"{END} {BEGIN}")
    with pytest.raises(InputError, match="README"):
        fill_readme(tmp_path / "README.md", "")
