"""A JSON array that is read a part at a time gives what the whole gives, and the same errors."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import CorredorError
from features.json_files import read_json_blocks

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a,b", '"]', "\\", "é🙂", "\n"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.dictionaries(st.sampled_from(["id", "note", "tags"]), VALUE, max_size=3)


def read(path, text, size, typed=()):
    path.write_text(text, encoding="utf-8")
    blocks = read_json_blocks(
        path, where="f.json", encoding="utf-8", typed=frozenset(typed), block_bytes=size
    )
    return list(blocks)


def told(blocks):
    rows = [
        (line, {name: cell for name, cell in row.items() if cell is not None})
        for block in blocks
        for line, row in zip(block.lines.tolist(), block.table.to_pylist(), strict=True)
    ]
    bad = [pair for b in blocks for pair in zip(b.bad_lines.tolist(), b.bad_content.to_pylist(), strict=True)]
    bad = [(line, text.rstrip()) for line, text in bad]
    return rows, bad


@settings(max_examples=50, deadline=None)
@given(st.lists(OBJECT | st.integers(0, 3), max_size=6), st.integers(1, 60), st.booleans())
def test_an_array_in_parts_of_any_size_is_the_array(tmp_path_factory, objects, size, indented):
    path = tmp_path_factory.mktemp("array") / "f.json"
    text = json.dumps(objects, ensure_ascii=False, indent=1 if indented else None)
    assert told(read(path, text, size)) == told(read(path, text, 1 << 20))


def test_objects_are_numbered_through_all_parts(tmp_path):
    objects = [{"id": str(i), "late": "x" if i > 7 else None} for i in range(10)]
    rows, _ = told(read(tmp_path / "f.json", json.dumps(objects), 40))
    assert [line for line, _ in rows] == list(range(1, 11))
    assert rows[8] == (9, {"id": "8", "late": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"id":"1"},\n{"id":"2"},\n{"id" "3"}]', "line 3: Expecting ':' delimiter"),
        ('[{"id":"1"}\n{"id":"2"}]', "line 2: Expecting ',' delimiter"),
        ('[{"id":"1"},\n\n,{"id":"2"}]', "line 3: Expecting value"),
        ('[,{"id":"2"}]', "line 1: Expecting value"),
        ('[{"id":"1"}]\n\n[]', "line 3: Extra data"),
        ('[{"id":"1"},\n{"id":"2"}', "line 2: Expecting ',' delimiter"),
        ('[{"id":"1"},\n{"id":"2}]', "line 2: Unterminated string starting at"),
        ('[{"id":"1"},{"id":NaN}]', "NaN is no number of JSON"),
    ],
)
@pytest.mark.parametrize("size", [4, 24, 1 << 20])
def test_what_is_not_json_is_told_with_its_line_wherever_it_is_cut(tmp_path, text, message, size):
    with pytest.raises(CorredorError) as error:
        read(tmp_path / "f.json", text, size)
    assert str(error.value) == f"f.json is not JSON: {message}."


def test_numbers_keep_their_digits_in_every_part(tmp_path):
    text = "[" + ",\n".join(f'{{"id": 900719925474099{i}}}' for i in range(9)) + "]"
    rows, _ = told(read(tmp_path / "f.json", text, 32))
    assert rows[4] == (5, {"id": "9007199254740994"})


def test_lines_of_objects_with_different_names_are_read_in_one_go_each(tmp_path):
    text = '{"id": 1, "note": "a"}\n{"id": 2, "other": {"x": 1}}\n\n{"id": null}\nnot json\n'
    rows, bad = told(read(tmp_path / "f.json", text, 1 << 20))
    assert rows == [
        (1, {"id": "1", "note": "a"}),
        (2, {"id": "2", "other": '{"x":1}'}),
        (4, {}),
    ]
    assert bad == [(5, "not json")]
