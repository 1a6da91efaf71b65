"""However many ingests there were, a bucket is in few files, and says what it said."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import bucket_files, bucket_merging
from features.bucket_merging import MERGED, due
from features.bucket_rows import bucket_path
from features.digest import digest_of
from features.errors import CorredorError
from tests.test_features.test_ingesting import HEAD, asked, assert_same, stored, take_in

KILLED = """
import os, signal, sys
from pathlib import Path
from features import bucket_merging, ingesting
from features.ingested import Manifest
from tests.test_features.test_ingesting import take_in

calls = []

def killing(what, at):
    def called(*arguments, **named):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return what(*arguments, **named)
    return called

folder, moment = Path(sys.argv[1]), sys.argv[2]
if moment == "writing":
    bucket_merging.rows_writer = killing(bucket_merging.rows_writer, 2)
elif moment == "naming":
    Manifest.write = killing(Manifest.write, 2)
else:
    ingesting._remove_unnamed = killing(ingesting._remove_unnamed, 2)
take_in(folder)
"""


def write_day(folder, day, *lines, head=HEAD):
    rows = lines or (f"ana,2026-03-{day:02d} 09:00,purchase,{day}", f"bo,2026-03-{day:02d} 10:00,call,")
    (folder / f"day-{day:02d}.csv").write_text(head + "\n".join(rows) + "\n")


def take_in_days(folder, days, **options):
    for day in days:
        write_day(folder, day)
        take_in(folder, **options)


def digest(folder):
    store = stored(folder)
    return [digest_of(store.histories([b])) for b in range(store.manifest.buckets) if store.rows[b]]


def folders(folder):
    return {p.name for p in (folder / "store" / "ingests").iterdir()}


def test_eight_ingests_become_one_where_none_is_more_than_twice_what_came_after():
    assert due([]) is None
    assert due([10] * 7) is None
    assert due([10] * 8) == slice(0, 8)
    assert due([21, *[1] * 7]) is None and due([14, *[1] * 7]) == slice(0, 8)
    assert due([3, 1_000, *[1] * 8]) == slice(2, 10)
    assert due([*[1] * 7, 1_000]) == slice(0, 8)  # those before a large one are not left behind
    assert due([0] * 8) == slice(0, 8)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 10), st.integers(0, 10**6)), max_size=150))
def test_ingests_are_few_and_a_row_is_written_anew_seldom_whatever_their_sizes(sizes):
    runs, written = [], []  # rows of each ingest; how often each of them was written anew
    for size in sizes:
        runs.append(max(size, 1))
        written.append(0)
        while (some := due(runs)) is not None:
            runs[some] = [sum(runs[some])]
            written[some] = [1 + max(written[some])]
        total = sum(runs)
        assert len(runs) <= (MERGED - 1) * (1 + math.log2(total))
        assert max(written) <= 2 + math.log(total, 1.5)


def test_many_days_are_few_files_that_say_the_same(tmp_path, monkeypatch):
    one_by_one, merged = tmp_path / "one", tmp_path / "merged"
    for folder, at_least in ((one_by_one, 10**9), (merged, MERGED)):
        monkeypatch.setattr(bucket_merging, "MERGED", at_least)
        folder.mkdir()
        take_in_days(folder, range(1, 12), buckets=3)
        again = "ana,2026-03-05 09:00,purchase,5"  # told on day 5 before
        write_day(folder, 12, again, "cy,2026-03-12 09:00,call,", "dan,never,call,", again)
        take_in(folder)
        write_day(folder, 13, "ana,2026-03-13 09:00,call,,phone", head=HEAD.strip() + ",channel\n")
        take_in(folder)
        take_in_days(folder, range(14, 20))
        assert_same(folder)
    assert len(stored(one_by_one).manifest.ingests) == 19
    assert len(stored(merged).manifest.ingests) == 5
    assert digest(one_by_one) == digest(merged)
    apart, together = (stored(f) for f in (one_by_one, merged))
    assert apart.span() == together.span()
    assert apart.names("touchpoints") == together.names("touchpoints") == {"call", "purchase"}
    assert apart.schema("touchpoints") == together.schema("touchpoints")
    assert [*apart.manifest.files()] == [*together.manifest.files()]
    apart, together = apart.everything(), together.everything()
    assert apart.intake["touchpoints"] == together.intake["touchpoints"]
    told = together.intake["touchpoints"]
    assert (told.rows, told.kept, told.duplicates, told.quarantined) == (39, 36, 2, 1)
    assert apart.quarantine.to_pylist() == together.quarantine.to_pylist()
    assert [r["file"] for r in together.quarantine.to_pylist()] == ["day-12.csv"]


def test_a_row_that_is_told_in_every_ingest_is_in_the_merged_one_once(tmp_path):
    for day in range(1, 9):  # each file has the days before too
        lines = [f"ana,2026-03-{d:02d} 09:00,purchase,{d}" for d in range(1, day + 1)]
        write_day(tmp_path, day, *lines)
        take_in(tmp_path, buckets=2)
    store = stored(tmp_path)
    assert len(store.manifest.ingests) == 1
    assert sum(store.rows) == 8
    told = store.everything().intake["touchpoints"]
    assert (told.rows, told.kept, told.duplicates) == (36, 8, 28)
    assert_same(tmp_path)


def test_a_merged_bucket_is_in_order_of_customer_and_time(tmp_path):
    for day in range(8, 0, -1):
        write_day(tmp_path, day)
        take_in(tmp_path, buckets=1)
    (ingest,) = stored(tmp_path).manifest.ingests
    rows = pq.read_table(tmp_path / "store" / bucket_path(ingest.folder, "touchpoints", 0)).to_pylist()
    assert [(r["customer_id"], r["occurred_at"].day) for r in rows] == [
        (who, day) for who in ("ana", "bo") for day in range(1, 9)
    ]


def test_an_ingest_of_many_stretches_is_sorted_before_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(bucket_files, "HELD_BYTES", 1)
    for day in range(1, 10):
        write_day(tmp_path, day)
    take_in(tmp_path, buckets=2)
    (ingest,) = stored(tmp_path).manifest.ingests
    assert ingest.tables["touchpoints"].stretches == 1
    assert len(ingest.files) == 9
    assert folders(tmp_path) == {Path(ingest.folder).name}
    paths = list((tmp_path / "store").rglob("*.parquet"))
    assert [pq.read_metadata(path).num_row_groups for path in paths] == [1] * len(paths)
    assert_same(tmp_path)


@pytest.mark.parametrize("moment", ["writing", "naming", "removing"])
def test_a_merge_that_is_killed_leaves_the_ingests_or_the_merged_one(tmp_path, moment):
    take_in_days(tmp_path, range(1, 8), buckets=3)
    write_day(tmp_path, 8)
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(stored(tmp_path).manifest.ingests) == (1 if moment == "removing" else 8)
    assert len(folders(tmp_path)) == 9
    assert_same(tmp_path)
    assert take_in(tmp_path).files == 0
    assert len(stored(tmp_path).manifest.ingests) == 1
    assert_same(tmp_path)
    take_in(tmp_path)
    assert folders(tmp_path) == {Path(i.folder).name for i in stored(tmp_path).manifest.ingests}


def test_who_reads_a_store_goes_on_through_a_merge_and_is_told_when_its_data_are_gone(tmp_path):
    take_in_days(tmp_path, range(1, 8), buckets=3)
    reader = stored(tmp_path)
    before = digest_of(reader.histories(range(3)))
    take_in_days(tmp_path, [8])
    assert len(stored(tmp_path).manifest.ingests) == 1
    assert digest_of(reader.histories(range(3))) == before
    take_in_days(tmp_path, [9])
    with pytest.raises(CorredorError, match="holds other rows than it did. If an ingest ended meanwhile"):
        reader.histories(range(3))


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_bucket_that_is_not_what_the_manifest_says_is_an_error_and_never_fewer_rows(tmp_path, damage):
    take_in_days(tmp_path, [1, 2], buckets=1)
    path = tmp_path / "store" / bucket_path("ingests/000002", "touchpoints", 0)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.unlink()
    with pytest.raises(CorredorError, match="000002/touchpoints: holds other rows than it did"):
        stored(tmp_path).histories([0])


SIDES = {
    "people": (
        "customers",
        "customer_id,value,colour\n",
        st.tuples(st.sampled_from("abcf"), st.sampled_from(["1,red", "1,"])),
    ),
    "held": (
        "relationships",
        "customer_id,product,started_at,ended_at,recorded_at\n",
        st.tuples(
            st.sampled_from("abf"),
            st.sampled_from(["card", "loan"]),
            st.just("2026-01-01"),
            st.sampled_from([",2026-01-02", "2026-03-01,2026-03-02", "2026-04-01,2026-03-03"]),
        ),
    ),
}


@settings(max_examples=12, deadline=None)
@given(data=st.data(), buckets=st.integers(1, 3))
def test_merging_changes_nothing_of_what_a_store_says(tmp_path_factory, data, buckets):
    contact = st.tuples(
        st.sampled_from("abcde"),
        st.sampled_from(["2026-03-01 09:00", "2026-03-01 10:00", "2026-03-02 09:00"]),
        st.sampled_from(["call", "purchase"]),
        st.sampled_from(["", "t1", "t2"]),
        st.sampled_from(["", "agent 1", "agent 2"]),
        st.sampled_from(["", "2026-03-03", "2026-03-04"]),
    )
    head = "customer_id,occurred_at,kind,touchpoint_id,agent_id,recorded_at\n"
    folder = tmp_path_factory.mktemp("merged")
    config = asked(path="log*.csv", **{name: {"path": f"{name}*.csv"} for name in SIDES})
    config.files["log"].columns.clear()
    sources = {table: f"select * from {name}" for name, (table, *_) in SIDES.items()}
    config = config.model_copy(update={"sources": {**config.sources, **sources}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bucket_merging, "MERGED", data.draw(st.integers(2, 4)))
        for day in range(data.draw(st.integers(2, 6))):
            drawn = {"log": (head, data.draw(st.lists(contact, min_size=not day, max_size=6)))}
            for name, (_, columns, row) in SIDES.items():
                some = data.draw(st.lists(row, min_size=not day, max_size=3))
                if name == "people":
                    some = [pair for pair in some if pair[0] not in "abc" or pair[1] == "1,red"]
                    some = some or [("z", "1,")]
                drawn[name] = (columns, some)
            for name, (columns, rows) in drawn.items():
                if rows:
                    text = columns + "".join(",".join(row) + "\n" for row in rows)
                    (folder / f"{name}-{day}.csv").write_text(text)
            try:
                take_in(folder, config, buckets=buckets)
            except CorredorError as error:
                assert "rows that differ in colour" in str(error)
                return
        assert_same(folder, config)
