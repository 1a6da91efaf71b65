"""A company whose truth is known, as a workspace: its tables, its configuration, and what is true of it.

No public data holds complaints, waits, expectations, surveys, staff, contracts and later churn together.
So this makes them, openly: nothing in `features` or in the models knows of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path

import pyarrow.parquet as pq

from features.clock import now_us
from features.durable import write_atomically, write_text
from features.errors import CorredorError
from training.simulation.block import BLOCK, FILES, live_block
from training.simulation.company import Company, found_company
from training.simulation.truth import truth_of

LEAST_MONTHS, MOST_MONTHS = 8, 120
MOST_CUSTOMERS = 9_999_999
FIRST_DAY = date(2024, 1, 1)
Advance = Callable[[float, str], object]
Writers = dict[str, pq.ParquetWriter]


@dataclass(frozen=True)
class Simulated:
    """What a simulation left behind; `rows` counts those of each file."""

    config: Path
    truth: Path
    rows: dict[str, int]


def simulate(
    folder: Path,
    customers: int,
    *,
    months: int = 24,
    seed: int = 0,
    start: date = FIRST_DAY,
    advance: Advance | None = None,
) -> Simulated:
    """Write the workspace of a simulated company, with its truth beside it.

    Customers live in blocks, one after the other, so memory does not grow with their number. The same
    arguments write the same bytes, and a customer is the same however many others there are. The
    configuration is written last: where there is one, the data are whole.

    Args:
        folder: where the workspace is to be.
        customers: how many, of whom about half are with the company at a time.
        months: how long.
        seed: of all that is drawn.
        start: the first day.
        advance: is told the share that is done.

    Raises:
        CorredorError: there is a configuration already, or a number that cannot be.
    """
    company = _company(customers, months, seed, start)
    config = folder / "corredor.toml"
    if config.exists():
        raise CorredorError(f"{config}: is there already and stays as it is. Choose another folder.")
    rows = dict.fromkeys(FILES, 0)

    def fill(writers: Writers) -> None:
        for number in range((customers + BLOCK - 1) // BLOCK):
            block = live_block(number, company, min(BLOCK, customers - BLOCK * number))
            for name, table in block.tables.items():
                writers[name].write_table(table)
                rows[name] += table.num_rows
            if advance is not None:
                done = min(BLOCK * (number + 1), customers)
                advance(done / customers, f"{done:,} of {customers:,} customers")

    _write_together({name: file_of(folder, name) for name in FILES}, fill)
    truth = write_text(
        folder / "truth.json",
        json.dumps(truth_of(company, customers, months), indent=1, ensure_ascii=False) + "\n",
    )
    write_text(config, _configuration(customers, months, seed, start))
    return Simulated(config, truth, rows)


def file_of(folder: Path, name: str) -> Path:
    """Return where a table is: those of the company in `data`, the truth beside the configuration.

    >>> file_of(Path("demo"), "wallet").as_posix(), file_of(Path("demo"), "truth_states").as_posix()
    ('demo/data/wallet.parquet', 'demo/truth_states.parquet')
    """
    return (folder if name.startswith("truth_") else folder / "data") / f"{name}.parquet"


def _company(customers: int, months: int, seed: int, start: date) -> Company:
    for what, value, low, high in (
        ("customers", customers, 1, MOST_CUSTOMERS),
        ("months", months, LEAST_MONTHS, MOST_MONTHS),
        ("seed", seed, 0, 2**32 - 1),
        ("the year of start", start.year, 1970, 2199 - MOST_MONTHS // 12),
    ):
        if not low <= value <= high:
            raise CorredorError(f"{what}: {value} is not between {low:,} and {high:,}.")
    company = found_company(start, months, seed)
    if company.end_us > now_us():
        raise CorredorError(
            f"start {start}: {months} months from then end in the future ({company.date_of(company.days)}). "
            "Begin earlier, or simulate fewer months."
        )
    return company


def _write_together(
    paths: dict[str, Path], fill: Callable[[Writers], None], writers: Writers | None = None
) -> None:
    """Let `fill` write to a writer for each path; the files appear together, once all are whole."""
    writers = {} if writers is None else writers
    if not paths:
        fill(writers)
        return
    (name, path), *others = paths.items()

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, FILES[name], compression="zstd") as writer:
            _write_together(dict(others), fill, {**writers, name: writer})

    write_atomically(path, write)


def _configuration(customers: int, months: int, seed: int, start: date) -> str:
    text = files("training").joinpath("simulation/workspace.toml").read_text(encoding="utf-8")
    told = {"CUSTOMERS": f"{customers:,}", "MONTHS": months, "START": start.isoformat(), "SEED": seed}
    for name, value in told.items():
        text = text.replace(f"@{name}@", str(value))
    return text
