"""Markdown from the templates beside this file; the same text reads well in a terminal."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jinja2

from slarisk.reports.formats import FORMATS, format_saving

_MARKUP = re.compile(r"[\\`*_|]|\](?=[(\[:])")  # a bracket is markup where it could end a link
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_CELL_BORDER = re.compile(r"(?<!\\)\|")


def render_markdown(template: str, **data: Any) -> str:
    """Render a template of this package as Markdown, without a line end after the last line.

    Nothing is escaped by itself: the template passes each text that it does not know through
    `escape_markdown` or `format_code`.

    Raises
    ------
    jinja2.UndefinedError
        The template uses a name that the data does not have.
    """
    return _make_environment().get_template(template).render(data).rstrip("\n")


def escape_markdown(text: object) -> str:
    r"""Write text on one line so that nothing in it is markup, not of a table or HTML either.

    Examples
    --------
    >>> escape_markdown("*all* |\n<b>")
    '\\*all\\* \\| &lt;b&gt;'
    """
    one_line = " ".join(str(text).split())
    return _MARKUP.sub(r"\\\g<0>", one_line.translate(_ENTITIES))


def format_code(text: object) -> str:
    """Write text as a code span, in as many backticks as it takes (CommonMark 0.31, 6.1).

    Examples
    --------
    >>> format_code("made_sla"), format_code("a`b")
    ('`made_sla`', '`` a`b ``')
    """
    one_line = " ".join(str(text).split())
    longest = max(map(len, re.findall("`+", one_line)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{one_line}{pad}{fence}"


def align_table(text: str, gap: str = "") -> str:
    """Bring the columns of a Markdown table into line: the first to the left, others right.

    Parameters
    ----------
    text : str
        Its rows, the second of which is the rule.
    gap : str
        Written at the start of each cell but the first: the page of a run or version in MLflow
        sets the columns of a table without space between them.
    """
    rows = [
        [cell.strip() for cell in _CELL_BORDER.split(line.strip())[1:-1]]
        for line in text.splitlines()
        if line.strip()
    ]
    widths = [max(map(len, column)) for column in zip(rows[0], *rows[2:], strict=True)]
    rows[1] = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = []
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        border = " | " if number == 1 else f" | {gap}"
        lines.append(f"| {border.join(cells)} |\n")
    return "".join(lines)


@cache
def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slarisk.reports"),
        autoescape=False,  # for HTML; Markdown is escaped by filters
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FORMATS
    environment.filters |= {
        "escape_markdown": escape_markdown,
        "code": format_code,
        "saving": format_saving,
        "align_table": align_table,
        "three": "{:.3f}".format,
    }
    return environment
