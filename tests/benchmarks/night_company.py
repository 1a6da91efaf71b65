"""A generated company for the benchmark of the night: a log of any length, a model of the frozen recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.catalog import fit_features
from features.histories import Histories
from features.ingested import Store, read_manifest
from features.ingesting import ingest
from serving.batch import rank
from serving.list_files import write_list
from serving.memory import bytes_of
from serving.nightly import InBuckets, scored
from serving.rows import SCHEMA, score_rows
from tests.benchmarks import features as spine
from tests.benchmarks.peers import DAY
from training.bundle import Bands, Bundle, Window, draw_sample, load_bundle
from training.config import Config
from training.forest import Predictor
from training.labels import churn_labels, eligible
from training.model import Recipe, fit_forest

EACH = 50
"""Touchpoints of a customer, on average."""
LEARNT_FROM = 8_000
"""Customers that the model is trained on; the night scores others of the same company."""
AS_OF = spine.END
DATES = tuple(AS_OF - days * DAY for days in (120, 90, 60))


def config(folder: Path = Path()) -> Config:
    """Return the configuration: about 200 features, leaving is 56 days without a contact."""
    return Config.model_validate(
        {
            "project": {"name": "night", "timezone": "Europe/Madrid"},
            "files": {"log": {"path": "log.parquet"}},
            "sources": {"touchpoints": "select * from log"},
            "churn": {"active_days": 182, "horizon_days": 56},
            "features": {"windows_days": (28, 91, 364), "max_kinds": 6, "max_channels": 3},
            "folder": folder,
        }
    )


def write_log(path: Path, customers: int) -> None:
    """Write the log of so many customers as one Parquet file, in order of time."""
    spine.write_log(path, customers * EACH, customers)


def trained(folder: Path, recipe: Recipe) -> Bundle:
    """Return a model of this company by a recipe."""
    path = folder / "learnt.parquet"
    write_log(path, LEARNT_FROM)
    histories, asked = spine.load(path), config()
    path.unlink()
    fitted = fit_features(histories, asked, asked.activity, fit_before=DATES[0], until=AS_OF)
    X: Any = fitted.snapshots(histories, np.array(DATES))
    here = np.stack([eligible(histories, asked, d) for d in DATES], axis=1)
    gone = np.stack([churn_labels(histories, asked, d).value for d in DATES], axis=1)
    rows = X[here]
    forest = fit_forest(rows, gone[here], recipe=recipe, directions=[f.direction for f in fitted.features])
    predictors = {"churn": Predictor(forest)}
    share = float(gone[here].mean())
    return Bundle(
        fitted=fitted,
        predictors=predictors,
        config=asked,
        bands=Bands(round(1.2 * share, 4), round(min(2 * share, 0.9), 4)),
        window=Window(AS_OF, DATES[0], DATES[-1], len(DATES), len(rows), histories.n_customers),
        sample=draw_sample(rows, predictors),
    )


def ingested(folder: Path, customers: int) -> Path:
    """Write a company and take its log in; return its folder."""
    folder.mkdir()
    write_log(folder / "log.parquet", customers)
    ingest(config(folder), folder, folder / "store")
    return folder


class Night:
    """A night of a company, step by step or as a whole."""

    def __init__(self, bundle: Bundle, folder: Path, memory: int | None = None) -> None:
        """Open what is ingested."""
        manifest = read_manifest(folder / "store")
        assert manifest is not None
        self.bundle, self.folder, self.config = bundle, folder, config(folder)
        self.parts = InBuckets.of(Store(folder / "store", manifest), memory)
        self._read: list[Histories] = []
        self._rows = SCHEMA.empty_table()

    @classmethod
    def opened(cls, folder: Path, memory: str) -> Night:
        """Open a company beside whose folder is the model."""
        return cls(load_bundle(folder.parent / "bundle", verify=False), folder, bytes_of(memory))

    def read(self) -> None:
        """Read every bucket."""
        self._read = [self.parts.read(part) for part in range(len(self.parts.sizes))]

    def rows(self) -> None:
        """Score everyone that was read."""
        found = [score_rows(self.bundle, h, self.config, AS_OF) for h in self._read]
        self._rows = pa.Table.from_batches(found)

    def write(self) -> None:
        """Rank everyone, tell the reasons in words, write the list."""
        listed = rank(self._rows, self.bundle, self.config, AS_OF, everyone=True)
        write_list(listed, self.folder / "list.parquet")

    def warm(self) -> None:
        """Score a few customers, so that what is done once is done."""
        score_rows(self.bundle, self.parts.read(0).between(0, 20), self.config, AS_OF)

    def run(self) -> int:
        """Do all of it as `corredor score --all --out` does; return how many customers are listed."""
        out = self.folder / "list.parquet"
        with scored(self.bundle, self.parts, self.config, AS_OF, out=out) as rows:
            listed = rank(rows, self.bundle, self.config, AS_OF, everyone=True)
            write_list(listed, out)
            return len(listed)

    def customers(self) -> int:
        """Return how many customers there are."""
        self.read()
        return sum(h.n_customers for h in self._read)

    def features(self) -> npt.NDArray[np.float32]:
        """Return everyone's features."""
        self.read()
        dates = np.array([AS_OF])
        return np.concatenate([self.bundle.fitted.snapshots(h, dates)[:, 0] for h in self._read])
