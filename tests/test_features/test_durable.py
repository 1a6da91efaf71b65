import stat

import pytest

from features.durable import write_atomically, write_text


def test_a_file_is_written_whole_with_its_folder_and_permissions(tmp_path):
    path = write_atomically(tmp_path / "new" / "list.csv", b"rank\n1\n", mode=0o600)
    assert path.read_bytes() == b"rank\n1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["list.csv"]


def test_a_failure_leaves_the_old_file_and_no_debris(tmp_path):
    path = write_text(tmp_path / "list.csv", "old")

    def write_half(temporary):
        temporary.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write_half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_is_given_the_same_ending_as_the_file(tmp_path):
    seen = []
    write_atomically(tmp_path / "a.parquet", lambda p: (seen.append(p.suffix), p.write_bytes(b"x")))
    assert seen == [".parquet"]
