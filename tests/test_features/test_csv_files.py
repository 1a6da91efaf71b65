import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.csv_files import read_csv_blocks
from features.errors import CorredorError


def read(path, data, *, delimiter=",", quote='"', encoding="utf-8", **rest):
    path.write_bytes(data if isinstance(data, bytes) else data.encode(encoding))
    return list(
        read_csv_blocks(path, where=path.name, delimiter=delimiter, quote=quote, encoding=encoding, **rest)
    )


def cells(blocks):
    return [tuple(row.values()) for block in blocks for row in block.table.to_pylist()]


def lines(blocks):
    return [line for block in blocks for line in block.lines.tolist()]


def bad(blocks):
    return [
        row
        for b in blocks
        for row in zip(b.bad_lines.tolist(), b.bad_reasons, b.bad_content.to_pylist(), strict=True)
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.csv"


def test_cells_survive_byte_for_byte(path):
    data = 'id,note\n007,12E5\n  x ,"a ""word"", and\nmore"\n😀,5" pipe\n"",\n1e400,=cmd()\n'
    blocks = read(path, data)
    assert cells(blocks) == [
        ("007", "12E5"),
        ("  x ", 'a "word", and\nmore'),
        ("😀", '5" pipe'),
        (None, None),
        ("1e400", "=cmd()"),
    ]
    assert lines(blocks) == [2, 3, 5, 6, 7]


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", "id,name\n1,Íñigo 😀\n".encode()),
        ("utf-8", "id,name\n1,Íñigo 😀\n".encode("utf-8-sig")),
        ("latin-1", "id,name\n1,Íñigo\n".encode("latin-1")),
        ("utf-16", "id,name\n1,Íñigo 😀\n".encode("utf-16")),
        ("utf-16", b"\xfe\xff" + "id,name\r\n1,Íñigo 😀\r\n".encode("utf-16-be")),
    ],
)
def test_every_encoding_is_read_as_declared(path, encoding, data):
    assert cells(read(path, data, encoding=encoding)) in ([("1", "Íñigo 😀")], [("1", "Íñigo")])


@pytest.mark.parametrize(
    ("encoding", "data", "message"),
    [
        ("utf-8", "a,b\nñ,é\n".encode("latin-1"), "calls.csv: line 2 is not utf-8"),
        ("utf-8", b"a,b\n" + b"1,2\n" * 50_000 + b"\xff,1\n", "line 50002 is not utf-8"),
        ("utf-16", "a,b\n1,2\n3,4\n".encode("utf-16") + b"\x00", "line 4 is not utf-16"),
        ("utf-16", b"\xfe\xff" + "a\n1\n".encode("utf-16-be") + b"\xd8\x00\x00\x41", "line 3 is not utf-16"),
        ("utf-8", "a,b\n1,2\n".encode("utf-16"), "begins with the mark of utf-16"),
        ("latin-1", "a,b\n1,2\n".encode("utf-8-sig"), "begins with the mark of utf-8"),
        ("utf-8", "a,b\n1,2\n".encode("utf-16-le"), "line 1 holds a NUL"),
    ],
)
def test_a_file_in_another_encoding_is_refused_with_the_line(path, encoding, data, message):
    with pytest.raises(CorredorError, match=message):
        read(path, data, encoding=encoding, block_bytes=4096)


@pytest.mark.parametrize("data", [b"", b"\n\r\n\n"])
def test_an_empty_file_is_refused(path, data):
    with pytest.raises(CorredorError, match=r"calls\.csv is empty"):
        read(path, data)


def test_a_header_alone_is_a_table_without_rows(path):
    (block,) = read(path, "a,b")
    assert block.table.column_names == ["a", "b"] and len(block.table) == 0


def test_a_column_without_a_name_is_called_by_its_place(path):
    (block,) = read(path, ",b,\n1,2,3\n")
    assert block.table.column_names == ["column_1", "b", "column_3"]


def test_ragged_rows_are_put_aside_with_their_line_and_text(path):
    blocks = read(path, 'a,b\n1,2\n1,2,3\n"x\ny"\n3,4\n\n5\n')
    assert cells(blocks) == [("1", "2"), ("3", "4")]
    assert lines(blocks) == [2, 6]
    assert bad(blocks) == [
        (3, "3 cells where the header has 2", "1,2,3"),
        (4, "1 cells where the header has 2", '"x\ny"'),
        (8, "1 cells where the header has 2", "5"),
    ]


def test_a_quote_too_many_costs_its_own_line_only(path):
    blocks = read(path, 'a,b\n"open,2\n3,4\n"he said "no"",5\n6,7\n"unclosed,8\n9,10')
    assert cells(blocks) == [("3", "4"), ("6", "7"), ("9", "10")]
    assert bad(blocks) == [
        (2, "text follows a closing quote", '"open,2'),
        (4, "text follows a closing quote", '"he said "no"",5'),
        (6, "a quote is not closed", '"unclosed,8'),
    ]


def test_a_quote_too_many_does_not_read_on_without_end(path):
    data = 'a,b\n"open,2\n' + "3,4\n" * 400_000 + '5,"end"\n'
    blocks = read(path, data, block_bytes=1 << 16)
    assert len(cells(blocks)) == 400_001
    assert [row[0] for row in bad(blocks)] == [2]


def test_other_delimiters_quotes_and_packed_files_are_read(path, tmp_path):
    assert cells(read(path, "a;b\n'x;y';2,5\n", delimiter=";", quote="'")) == [("x;y", "2,5")]
    assert cells(read(path, "a\tb\r1\t2\r", delimiter="\t")) == [("1", "2")]
    packed = tmp_path / "calls.csv.gz"
    assert cells(read(packed, gzip.compress(b"a,b\n1,2\n"))) == [("1", "2")]
    with pytest.raises(CorredorError, match="different ASCII"):
        read(path, "a,b\n", delimiter="§")


texts = st.text(st.sampled_from('ab ",\n\r;é😀'), max_size=6)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(texts, texts), max_size=8), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_written_as_csv_comes_back_in_blocks_of_any_size(tmp_path_factory, rows, size, end):
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator=end).writerows([("a", "b"), *rows])
    path = tmp_path_factory.getbasetemp() / "any.csv"
    blocks = read(path, written.getvalue().encode(), block_bytes=size)
    assert cells(blocks) == [(a or None, b or None) for a, b in rows]
    assert not bad(blocks)


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('a",\n\r'), max_size=40), st.integers(1, 20))
def test_blocks_of_any_size_say_the_same_of_any_bytes(tmp_path_factory, text, size):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    data = b"x,y\n" + text.encode()
    whole, split = read(path, data), read(path, data, block_bytes=size)
    assert cells(whole) == cells(split) and lines(whole) == lines(split) and bad(whole) == bad(split)
