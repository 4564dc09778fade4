import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slarisk.errors import InputError
from slarisk.exports import records
from slarisk.exports.records import cut_blocks, number_lines

PIECES = ['"', '""', ",", "\n", "a", "bc", "\r\n", "\r", '" ', '\n"', ',"', ""]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)


def cut(text, size):
    return list(cut_blocks("a.csv", io.BytesIO(text.encode()), ",", size))


def join(blocks):
    """Joins whole blocks that follow each other; broken lines stay alone."""
    joined = []
    for block in blocks:
        if joined and not block.broken and not joined[-1][0]:
            joined[-1] = (False, joined[-1][1], joined[-1][2] + block.data)
        else:
            joined.append((block.broken, block.line, block.data))
    return joined


def is_strict(text):
    try:
        return bool(list(csv.reader(io.StringIO(text, newline=""), strict=True))) or True
    except csv.Error:
        return False


@given(text=TEXTS, size=st.integers(1, 9))
@settings(max_examples=500, deadline=None)
def test_records_do_not_depend_on_what_is_read_at_a_time(text, size):
    assert join(cut(text, size)) == join(cut(text, 10_000))


@given(text=TEXTS, size=st.integers(1, 9))
@settings(max_examples=500, deadline=None)
def test_a_block_is_broken_where_a_strict_reader_refuses(text, size):
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    blocks = cut(text, size)
    assert b"".join(block.data for block in blocks).decode() == plain
    assert is_strict(plain) == (not any(block.broken for block in blocks))
    for block in blocks:
        assert block.broken or is_strict(block.data.decode())
        assert block.newlines == block.data.count(b"\n")
        assert (
            plain.encode().splitlines(keepends=True)[block.line - 1 :][0]
            == (block.data.splitlines(keepends=True)[0])
        )


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_records_know_their_lines(text):
    for block in cut(text, 1000):
        if block.broken:
            continue
        reader = csv.reader(io.StringIO(block.data.decode(), newline=""), strict=True)
        lines, before = [], 0
        for values in reader:
            if values:
                lines.append(block.line + before)
            before = reader.line_num
        assert number_lines(block, ",", len(lines)).tolist() == lines


def test_lines_after_a_quote_that_is_never_closed_are_read(monkeypatch):
    text = 'a,b\n1,"open\n2,x\n3,"y"\n4,z\n'
    blocks = cut(text, 5)
    assert [block.data for block in blocks if block.broken] == [b'1,"open\n', b'3,"y"\n'][:1]
    assert join(blocks)[-1][2] == b'2,x\n3,"y"\n4,z\n'


@pytest.mark.parametrize("size", [3, 1000])
def test_a_quote_that_is_open_for_too_long_is_broken(monkeypatch, size):
    monkeypatch.setattr(records, "LONGEST", 20)
    text = 'a,"short"\nb,"' + "long " * 5 + '"\nc,d\n'
    assert join(cut(text, size)) == [
        (False, 1, b'a,"short"\n'),
        (True, 2, b'b,"' + b"long " * 5 + b'"\n'),
        (False, 3, b"c,d\n"),
    ]


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(records, "LONGEST", 10)
    with pytest.raises(InputError, match=r"a\.csv, line 2: has more than 10 bytes and no end"):
        cut("a,b\n" + "x" * 100, 5)
