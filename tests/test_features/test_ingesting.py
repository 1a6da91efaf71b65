"""A store has what its sources have, however and whenever they came in."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.buckets import buckets_of
from features.digest import digest_of
from features.errors import CorredorError
from features.histories import build_histories
from features.ingested import Store, read_manifest
from features.ingesting import check_fresh, ingest
from features.settings import DataSettings
from features.sources import load_tables

HEAD = "customer_id,occurred_at,kind,amount\n"
DAYS = {
    "day-1.csv": ["ana,2026-03-01 09:00,purchase,10", "bo,2026-03-01 10:00,purchase,20"],
    "day-2.csv": ["ana,2026-03-02 09:00,call,", "cy,2026-03-02 11:00,purchase,5.5"],
    "day-3.csv": ["bo,2026-03-03 09:00,purchase,7", "éva,2026-03-03 12:00,call,"],
}
UNTIL = 1_800_000_000_000_000
KILLED = """
import os, signal, sys
from pathlib import Path
from features import bucket_files
from tests.test_features.test_ingesting import UNTIL, asked
from features.ingesting import ingest

def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "taking":
    bucket_files.BucketFiles.end = killed
else:
    from features.ingested import Manifest
    Manifest.write = lambda self, store: killed(self)
folder = Path(sys.argv[1])
ingest(asked(), folder, folder / "store", extracted_us=UNTIL)
"""


def asked(query="select * from log", path="*.csv", **files):
    log = {"path": path, "columns": {"amount": "decimal", "occurred_at": "timestamp"}}
    return DataSettings.model_validate(
        {
            "project": {"name": "p", "timezone": "UTC"},
            "files": {"log": log, **files},
            "sources": {"touchpoints": query},
        }
    )


def write(folder, *names, days=DAYS):
    for name in names:
        (folder / name).write_text(HEAD + "\n".join(days[name]) + "\n", encoding="utf-8")


def take_in(folder, config=None, **options):
    return ingest(config or asked(), folder, folder / "store", extracted_us=UNTIL, **options)


def stored(folder):
    return Store(folder / "store", read_manifest(folder / "store"))


def direct(folder, config=None):
    return load_tables(config or asked(), folder, extracted_us=UNTIL)


def assert_same(folder, config=None):
    """The store holds what the files themselves give, as a whole and bucket by bucket."""
    everything, files = stored(folder).everything(), direct(folder, config)
    for name, intake in files.intake.items():
        mine = everything.intake[name]
        assert (mine.kept, mine.quarantined) == (intake.kept, intake.quarantined)
    whole, read = (build_histories(t.tables) for t in (everything, files))
    assert digest_of(whole) == digest_of(read)
    assert stored(folder).span() == read.span()
    ids = []
    for bucket in range(stored(folder).manifest.buckets):
        some = stored(folder).histories([bucket])
        assert some.partial
        ids += some.customer_ids.to_pylist()
        assert all(buckets_of(some.customer_ids, stored(folder).manifest.buckets) == bucket)
    assert sorted(ids, key=str.encode) == read.customer_ids.to_pylist()


def everything_in(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_bucket_of_an_id_is_fnv_1a_folded():
    def by_hand(text):
        value = 0xCBF29CE484222325
        for byte in text.encode():
            value = ((value ^ byte) * 0x100000001B3) % 2**64
        return ((value >> 32) ^ (value & 0xFFFFFFFF)) % 48

    ids = ["007", "12E5", "", "éva", "🙂", "007", "x" * 300]
    assert buckets_of(pa.array(ids), 48).tolist() == [by_hand(text) for text in ids]
    assert buckets_of(pa.chunked_array([], pa.string()), 48).tolist() == []
    assert buckets_of(pa.array(["cut off", *ids]).slice(1), 48).tolist() == [by_hand(text) for text in ids]


def test_no_bucket_of_many_ids_is_twice_as_full_as_it_should_be():
    for names in ([f"customer-{i:08d}" for i in range(20_000)], [str(i) for i in range(20_000)]):
        sizes = np.bincount(buckets_of(pa.array(names), 64), minlength=64)
        assert sizes.min() > 0.75 * 20_000 / 64 and sizes.max() < 1.25 * 20_000 / 64


def test_all_files_at_once_or_day_by_day_are_what_the_files_themselves_give(tmp_path):
    write(tmp_path, "day-1.csv")
    assert take_in(tmp_path, buckets=3).files == 1
    assert_same(tmp_path)
    write(tmp_path, "day-2.csv", "day-3.csv")
    taken = take_in(tmp_path)
    assert (taken.files, taken.known) == (2, 1)
    assert_same(tmp_path)


def test_a_new_day_touches_only_its_own_data(tmp_path):
    write(tmp_path, "day-1.csv", "day-2.csv")
    take_in(tmp_path)
    before = everything_in(tmp_path / "store" / "ingests")
    write(tmp_path, "day-3.csv")
    take_in(tmp_path)
    after = everything_in(tmp_path / "store" / "ingests")
    assert {p: after[p] for p in before} == before
    assert {p.parts[0] for p in set(after) - set(before)} == {"000002"}


def test_a_file_that_comes_again_under_another_name_is_known(tmp_path):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    (tmp_path / "again.csv").write_bytes((tmp_path / "day-1.csv").read_bytes())
    (tmp_path / "day-1.csv").touch()
    assert take_in(tmp_path).files == 0
    check_fresh(asked(), tmp_path, stored(tmp_path))
    assert stored(tmp_path).everything().intake["touchpoints"].kept == 2


def test_files_that_are_gone_stay_ingested(tmp_path):
    write(tmp_path, "day-1.csv", "day-2.csv")
    take_in(tmp_path)
    (tmp_path / "day-1.csv").unlink()
    check_fresh(asked(), tmp_path, stored(tmp_path))
    assert stored(tmp_path).everything().intake["touchpoints"].kept == 4


def test_a_row_told_in_two_ingests_counts_once(tmp_path):
    days = {**DAYS, "day-2.csv": [*DAYS["day-2.csv"], DAYS["day-1.csv"][0]]}
    write(tmp_path, "day-1.csv")
    take_in(tmp_path, buckets=2)
    write(tmp_path, "day-2.csv", days=days)
    take_in(tmp_path)
    assert_same(tmp_path)
    intake = stored(tmp_path).everything().intake["touchpoints"]
    assert (intake.rows, intake.kept, intake.duplicates) == (5, 4, 1)


def test_a_later_telling_of_a_contact_replaces_the_one_of_an_earlier_ingest(tmp_path):
    head = "customer_id,occurred_at,kind,touchpoint_id,recorded_at,outcome\n"
    told = "ana,2026-03-01 09:00,claim,c1,2026-03-0{} 10:00,{}\n"
    config = asked(path="*.csv")
    config.files["log"].columns.pop("amount")
    (tmp_path / "1.csv").write_text(head + told.format(1, "open"))
    take_in(tmp_path, config)
    (tmp_path / "2.csv").write_text(head + told.format(4, "done"))
    take_in(tmp_path, config)
    table = stored(tmp_path).everything()["touchpoints"]
    assert table["outcome"].to_pylist() == ["done"]
    assert_same(tmp_path, config)


def test_what_breaks_the_contract_is_in_the_quarantine_with_file_and_line(tmp_path):
    days = {"day-1.csv": [*DAYS["day-1.csv"], "dan,yesterday,call,1", "eve,2026-03-01,,3"]}
    write(tmp_path, "day-1.csv", days=days)
    taken = take_in(tmp_path)
    assert taken.tables["touchpoints"].aside == 2
    write(tmp_path, "day-2.csv")
    take_in(tmp_path)
    everything = stored(tmp_path).everything()
    rows = sorted(everything.quarantine.to_pylist(), key=lambda r: r["line"])
    assert [(r["file"], r["line"], r["column"]) for r in rows] == [
        ("day-1.csv", 4, "occurred_at"),
        ("day-1.csv", 5, "kind"),
    ]
    told = everything.intake["touchpoints"]
    assert (told.rows, told.kept, told.quarantined) == (6, 4, 2)


def test_a_line_that_two_tables_lose_is_in_the_quarantine_once_however_often_they_are_told(tmp_path):
    config = asked()
    people = "select customer_id, sum(amount) as value from log group by customer_id"
    config = config.model_copy(update={"sources": {**config.sources, "customers": people}})
    days = {
        "day-1.csv": [*DAYS["day-1.csv"], "one cell"],
        "day-2.csv": [*DAYS["day-2.csv"], "dan,2026-03-02,call,much"],
        "day-3.csv": [*DAYS["day-3.csv"], "eve,2026-03-03,,"],
    }
    for name in days:
        write(tmp_path, name, days=days)
        take_in(tmp_path, config, buckets=2)
    everything, files = stored(tmp_path).everything(), direct(tmp_path, config)
    assert everything.intake["customers"].quarantined == files.intake["customers"].quarantined == 2
    assert everything.intake["touchpoints"].quarantined == 3
    rows = [sorted(map(repr, t.quarantine.to_pylist())) for t in (everything, files)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3


def test_what_is_put_aside_is_for_the_owner_s_eyes_only(tmp_path):
    write(tmp_path, "day-1.csv", days={"day-1.csv": [*DAYS["day-1.csv"], "one cell"]})
    take_in(tmp_path)
    (path,) = (tmp_path / "store").rglob("quarantine.parquet")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_of_the_reading_is_left(tmp_path):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    assert {p.name for p in (tmp_path / "store" / "ingests" / "000001").iterdir()} == {"touchpoints"}


def test_less_memory_than_any_ingest_takes_is_refused(tmp_path):
    write(tmp_path, "day-1.csv")
    with pytest.raises(CorredorError, match="taking sources in takes 1280 MB, however large they are"):
        take_in(tmp_path, memory=1 << 30)
    assert take_in(tmp_path, memory=2 << 30).files == 1
    assert_same(tmp_path)


def test_columns_that_come_later_are_empty_before(tmp_path):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    (tmp_path / "later.csv").write_text(HEAD.strip() + ",channel\nana,2026-03-05 09:00,call,,phone\n")
    take_in(tmp_path)
    assert_same(tmp_path)
    table = stored(tmp_path).everything()["touchpoints"]
    assert sorted(table["channel"].to_pylist(), key=str) == [None, None, "phone"]


def test_a_query_that_groups_is_told_anew_as_a_whole_when_a_file_is_new(tmp_path):
    query = """select customer_id, min(occurred_at) as occurred_at, kind, sum(amount) as amount
               from log group by customer_id, kind"""
    write(tmp_path, "day-1.csv")
    take_in(tmp_path, asked(query))
    assert take_in(tmp_path, asked(query)).whole == []
    write(tmp_path, "day-2.csv", "day-3.csv")
    assert take_in(tmp_path, asked(query)).whole == ["touchpoints"]
    assert_same(tmp_path, asked(query))
    replaced = tmp_path / "store" / "ingests" / "000001" / "touchpoints"
    assert replaced.is_dir()  # for who is reading it
    assert take_in(tmp_path, asked(query)).whole == []
    assert not replaced.exists()
    assert_same(tmp_path, asked(query))


@pytest.mark.parametrize(
    "query",
    [
        "select * from log limit 3",
        "select * from log qualify row_number() over (partition by customer_id order by occurred_at) = 1",
        "select * from log where occurred_at > (select min(occurred_at) from log)",
        "select distinct * from log",
        "select a.* from log a join log b using (customer_id)",
        "with l as (select * from log) select * from l",
    ],
)
def test_a_query_whose_rows_depend_on_others_never_takes_a_file_alone(tmp_path, query):
    write(tmp_path, "day-1.csv")
    assert take_in(tmp_path, asked(query)).whole == ["touchpoints"]


@pytest.mark.parametrize("moment", ["taking", "committing"])
def test_an_ingest_that_is_killed_leaves_what_was_there(tmp_path, moment):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    before = digest_of(stored(tmp_path).histories(range(64)))
    write(tmp_path, "day-2.csv")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "store" / "ingests").iterdir())) == 2
    assert digest_of(stored(tmp_path).histories(range(64))) == before
    assert take_in(tmp_path).files == 1
    assert_same(tmp_path)
    assert {p.name for p in (tmp_path / "store" / "ingests").iterdir()} == {
        Path(i.folder).name for i in stored(tmp_path).manifest.ingests
    }


def test_a_changed_query_is_refused_until_all_is_ingested_anew(tmp_path):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    changed = asked("select * from log where kind = 'purchase'")
    with pytest.raises(CorredorError, match="corredor ingest --anew"):
        take_in(tmp_path, changed)
    with pytest.raises(CorredorError, match="corredor ingest --anew"):
        check_fresh(changed, tmp_path, stored(tmp_path))
    take_in(tmp_path, changed, anew=True, buckets=5)
    assert_same(tmp_path, changed)
    assert len(list((tmp_path / "store" / "ingests").iterdir())) == 1


@pytest.mark.parametrize("damage", ['{"format": 0}', "not JSON", "[]"])
def test_a_store_of_another_version_says_to_ingest_anew_and_that_replaces_it(tmp_path, damage):
    write(tmp_path, "day-1.csv", "day-2.csv")
    take_in(tmp_path)
    (tmp_path / "store" / "manifest.json").write_text(damage)
    with pytest.raises(CorredorError, match="is not of this version.*corredor ingest --anew"):
        take_in(tmp_path)
    take_in(tmp_path, anew=True)
    assert_same(tmp_path)
    assert len(list((tmp_path / "store" / "ingests").iterdir())) == 1


def test_a_file_that_is_not_ingested_yet_is_named(tmp_path):
    write(tmp_path, "day-1.csv")
    take_in(tmp_path)
    write(tmp_path, "day-2.csv")
    with pytest.raises(CorredorError, match=r"1 files are not ingested yet \(first: day-2.csv\)"):
        check_fresh(asked(), tmp_path, stored(tmp_path))


def test_customers_that_contradict_an_earlier_ingest_are_refused_and_the_store_stays(tmp_path):
    write(tmp_path, "day-1.csv")
    config = asked(path="day*.csv", people={"path": "people*.csv", "columns": {"value": "decimal"}})
    config = config.model_copy(update={"sources": {**config.sources, "customers": "select * from people"}})
    (tmp_path / "people-1.csv").write_text("customer_id,value\nana,100\nonly-here,5\n")
    take_in(tmp_path, config, buckets=2)
    assert_same(tmp_path, config)
    (tmp_path / "people-2.csv").write_text("customer_id,value\nana,200\n")
    with pytest.raises(CorredorError, match="rows that differ in value"):
        take_in(tmp_path, config)
    assert len(stored(tmp_path).manifest.ingests) == 1
    (tmp_path / "people-2.csv").write_text("customer_id,value\ncy,200\n")
    take_in(tmp_path, config)
    assert_same(tmp_path, config)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), buckets=st.integers(1, 6))
def test_however_rows_are_cut_into_files_and_ingests_the_store_is_the_same(tmp_path_factory, data, buckets):
    row = st.tuples(st.sampled_from("abcde"), st.integers(1, 6), st.sampled_from(["call", "purchase"]))
    rows = data.draw(st.lists(row, min_size=1, max_size=25))
    lines = [f"{who},2026-03-0{day} 0{day}:00,{kind},{day}" for who, day, kind in rows]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=3)))
    folder = tmp_path_factory.mktemp("cut")
    for i, (low, high) in enumerate(zip([0, *cuts], [*cuts, len(lines)], strict=True)):
        if low < high:
            (folder / f"{i}.csv").write_text(HEAD + "\n".join(lines[low:high]) + "\n")
            take_in(folder, buckets=buckets)
    assert_same(folder)
