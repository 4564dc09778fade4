import jinja2
import pytest

from slarisk.reports.markdown import align_table, escape_markdown, format_code, render_markdown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Saves $50 [-$10 to $90].", "Saves $50 [-$10 to $90]."),
        ("[a](http://b)", r"[a\](http://b)"),
        ("[a][b] [c]: d", r"[a\][b] [c\]: d"),
        ("<img src=x>&amp;", "&lt;img src=x&gt;&amp;amp;"),
        ("a|b", r"a\|b"),
        ("cost.escalation_cost=5", r"cost.escalation\_cost=5"),
        ("one\n\n# two", "one # two"),
        (r"\*", r"\\\*"),
        (3, "3"),
    ],
)
def test_nothing_in_a_text_is_markup(text, escaped):
    assert escape_markdown(text) == escaped


@pytest.mark.parametrize(
    ("text", "span"), [("a_b", "`a_b`"), ("a`b", "`` a`b ``"), ("``\n`", "``` `` ` ```")]
)
def test_a_code_span_holds_backticks(text, span):
    assert format_code(text) == span


def test_columns_are_in_line_and_escaped_borders_are_text():
    table = "| a | bb |\n|---|---:|\n| long \\| name | 1 |\n"
    assert align_table(table) == (
        "| a            | bb |\n| ------------ | -: |\n| long \\| name |  1 |\n"
    )
    assert align_table(table, "&nbsp;").splitlines() == [
        "| a            | &nbsp;bb |",
        "| ------------ | -: |",
        "| long \\| name | &nbsp; 1 |",
    ]


def test_a_name_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render_markdown("gate.md.j2", gap="")
