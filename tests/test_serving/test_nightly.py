import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from features.digest import digest_of
from features.errors import CorredorError
from features.histories import build_histories
from features.ingested import Store, read_manifest
from features.ingesting import ingest
from features.sources import load_tables
from serving import nightly
from serving.batch import at_risk_list, rank
from serving.list_files import write_list
from serving.memory import LIBRARIES, READ_ROW, bytes_of, check_fits
from serving.nightly import InBuckets, InMemory, scored
from tests.test_training.shop import AS_OF, DAY, shop_config, to_histories, trained_shop

KILLED = """
import os, signal, sys
from pathlib import Path
from serving.nightly import scored
from tests.test_serving.test_nightly import halves
from tests.test_training.shop import AS_OF, shop_config, trained_shop

def tell(done, note):
    if done > 0.5:
        os.kill(os.getpid(), signal.SIGKILL)

with scored(trained_shop().bundle, halves(), shop_config(Path()), AS_OF, out=Path(sys.argv[1]), tell=tell):
    pass
"""


def halves():
    return InMemory(trained_shop().histories, size=100)


@pytest.fixture(scope="module")
def bundle():
    return trained_shop().bundle


@pytest.fixture(scope="module")
def config():
    return shop_config(Path())


@dataclass(frozen=True)
class Counted(InMemory):
    """Parts that remember which of them were read."""

    was_read: list = field(default_factory=list)

    def read(self, part):
        self.was_read.append(part)
        return super().read(part)


def night(bundle, config, parts, out, **options):
    with scored(bundle, parts, config, AS_OF, out=out, **options) as rows:
        return write_list(rank(rows, bundle, config, AS_OF, everyone=True), out).read_bytes()


def test_a_night_in_parts_writes_the_list_that_memory_makes(bundle, config, tmp_path):
    whole = at_risk_list(bundle, trained_shop().histories, config, AS_OF, everyone=True)
    expected = write_list(whole, tmp_path / "whole.csv").read_bytes()
    assert night(bundle, config, halves(), tmp_path / "parts.csv") == expected
    assert sorted(p.name for p in tmp_path.iterdir()) == ["parts.csv", "whole.csv"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(bundle, config, tmp_path, ending):
    expected = night(bundle, config, halves(), tmp_path / f"never-killed.{ending}")
    out = tmp_path / f"list.{ending}"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    parts = Counted(trained_shop().histories, size=100)
    assert night(bundle, config, parts, out) == expected
    assert parts.was_read == [1, 2]
    assert {p.name for p in tmp_path.iterdir()} == {f"never-killed.{ending}", f"list.{ending}"}


def test_parts_of_another_day_or_of_other_data_are_not_taken_and_removed(bundle, config, tmp_path):
    out = tmp_path / "list.csv"

    def left_behind(parts, as_of):
        with pytest.raises(KeyboardInterrupt), scored(bundle, parts, config, as_of, out=out):
            raise KeyboardInterrupt
        return {p.name for p in (tmp_path / ".list.csv.parts").iterdir() if p.is_dir()}

    first = left_behind(halves(), AS_OF)
    other_day = left_behind(halves(), AS_OF + DAY)
    other_data = left_behind(InMemory(to_histories(trained_shop().rows[1:]), size=100), AS_OF + DAY)
    assert len(first) == len(other_day) == len(other_data) == 1
    assert len(first | other_day | other_data) == 3


@pytest.mark.parametrize("together", [1, 3_000, 10**9])
def test_an_ingested_company_gives_the_list_that_memory_makes(bundle, tmp_path, monkeypatch, together):
    config, store = ingested(tmp_path)
    monkeypatch.setattr(nightly, "TOGETHER", together)
    parts = InBuckets.of(store)
    assert len(parts.sizes) == {1: 8, 3_000: 4, 10**9: 1}[together]
    assert sum(parts.sizes) == len(trained_shop().rows)
    histories = build_histories(load_tables(config, tmp_path).tables)
    whole = at_risk_list(bundle, histories, config, AS_OF, everyone=True)
    expected = write_list(whole, tmp_path / "whole.parquet").read_bytes()
    assert night(bundle, config, parts, tmp_path / "buckets.parquet") == expected


def test_buckets_that_the_memory_does_not_hold_are_refused_with_the_number_that_it_does(tmp_path):
    _, store = ingested(tmp_path)
    room = LIBRARIES + 1_000 * READ_ROW
    assert max(store.rows) > 1_000
    with pytest.raises(CorredorError, match="and 1,000 fit. Run `corredor ingest --anew --buckets 16`"):
        InBuckets.of(store, room)
    assert max(InBuckets.of(store, LIBRARIES + 3_000 * READ_ROW).sizes) <= 3_000


def ingested(folder):
    columns = {"occurred_at": pa.timestamp("us", tz="UTC"), "amount": pa.float64()}
    names = ["customer_id", "occurred_at", "kind", "channel", "touchpoint_id", "item", "amount"]
    rows = trained_shop().rows
    table = pa.table({n: pa.array([r.get(n) for r in rows], columns.get(n, pa.string())) for n in names})
    pq.write_table(table, folder / "sales.parquet")
    config = shop_config(folder, files={"sales": {"path": "sales.parquet"}})
    ingest(config, folder, folder / "store", buckets=8)
    return config, Store(folder / "store", read_manifest(folder / "store"))


def test_two_runs_do_not_write_the_same_list_at_once(bundle, config, tmp_path):
    work = tmp_path / ".list.csv.parts"
    work.mkdir()
    with FileLock(work / "lock"), pytest.raises(CorredorError, match="another run is writing it"):
        night(bundle, config, halves(), tmp_path / "list.csv")


def test_the_features_are_those_that_were_scored_and_part_by_part_the_same_file(bundle, config, tmp_path):
    files = []
    for size in (100, 1000):
        parts = InMemory(trained_shop().histories, size=size)
        out = tmp_path / f"features-{size}.parquet"
        night(bundle, config, parts, tmp_path / "list.csv", features_out=out)
        files.append(pq.read_table(out))
    assert files[0] == files[1]
    X = bundle.fitted.snapshots(trained_shop().histories, [AS_OF])[:, 0]
    assert files[0].column_names == ["customer_id", "as_of", *bundle.fitted.names]
    for j, name in enumerate(bundle.fitted.names):
        np.testing.assert_array_equal(files[0][name].to_numpy(), X[:, j], err_msg=name)


def test_a_night_tells_how_far_it_is_at_what_rate_and_how_long_it_takes(bundle, config, tmp_path):
    told = []
    night(bundle, config, halves(), tmp_path / "x.csv", tell=lambda done, note: told.append((done, note)))
    assert [round(done, 2) for done, _ in told] == [0.33, 0.67, 1.0]
    assert told[-1][1].startswith("300 of 300 customers, ") and told[-1][1].endswith(" a second, 0:00 left")


def test_the_features_are_written_as_parquet_or_not_at_all(bundle, config, tmp_path):
    with pytest.raises(CorredorError, match=r"end in \.parquet"):
        night(bundle, config, halves(), tmp_path / "x.csv", features_out=tmp_path / "x.csv")


def test_a_size_of_memory_is_read_as_people_write_it():
    assert [bytes_of(s) for s in ("2GB", "1.5 GiB", "512mb", "100")] == [2 << 30, 3 << 29, 512 << 20, 100]
    with pytest.raises(CorredorError, match="2GB or 512MB"):
        bytes_of("plenty")


def test_sources_that_the_memory_does_not_hold_are_refused_before_they_are_read(tmp_path):
    table = pq.read_table(_touchpoints(tmp_path))
    config = shop_config(tmp_path, files={"sales": {"path": "sales.parquet"}})
    check_fits(config, 2 << 30)
    with pytest.raises(CorredorError, match="about 501 MB. Run `corredor ingest` once"):
        check_fits(config, (500 << 20) + len(table) * 200)


def _touchpoints(folder):
    ids = [r["customer_id"] for r in trained_shop().rows]
    pq.write_table(pa.table({"customer_id": ids[:4000]}), folder / "sales.parquet")
    return folder / "sales.parquet"


def test_the_digest_tells_any_other_histories_apart():
    rows = trained_shop().rows[:200]
    same = digest_of(to_histories(rows)) == digest_of(to_histories(rows[::-1]))
    others = {
        digest_of(to_histories(rows[:-1])),
        digest_of(to_histories([*rows[:-1], {**rows[-1], "amount": 1.25}])),
        digest_of(to_histories([*rows[:-1], {**rows[-1], "channel": "tv"}])),
    }
    assert same and len(others | {digest_of(to_histories(rows))}) == 4
