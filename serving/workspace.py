"""A workspace that is open: its configuration, its tables and the histories made of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from features.clock import US_PER_DAY, as_of_us, days_to_us, local_date, local_days
from features.contract import Tables
from features.errors import CorredorError, unknown_name
from features.histories import Histories, build_histories
from features.ingested import NAMED, Store, read_manifest
from features.ingesting import check_fresh
from features.sampling import drawn
from features.sources import load_tables
from serving.memory import bytes_of, check_fits
from serving.nightly import InBuckets, InMemory, Parts
from training.config import Config, load_config


@dataclass(frozen=True)
class Workspace:
    """The configuration of a workspace and what its sources hold."""

    config: Config
    tables: Tables
    histories: Histories

    @cached_property
    def tomorrow_us(self) -> int:
        """The first midnight after everything that the data hold: the as_of of "now"."""
        return day_after(self.histories.span()[1], self.config)

    def as_of(self, date: str | None) -> int:
        """Return a date of the command line as a moment (µs UTC); without one, the day after the data.

        Raises:
            CorredorError: it is not a date, or is more than a day after the data end.
        """
        return chosen_day(date, self.histories.span()[1], self.config)


@dataclass(frozen=True)
class Night:
    """A workspace opened for scoring everyone: its configuration, and the company in parts."""

    config: Config
    parts: Parts
    last_us: int
    """The last moment of the touchpoints, µs UTC."""
    limit: int | None = None
    """Bytes that the run may take."""

    def as_of(self, date: str | None) -> int:
        """Return the moment of the list (see `Workspace.as_of`)."""
        return chosen_day(date, self.last_us, self.config)


def day_after(last_us: int, config: Config) -> int:
    """Return the first midnight after a moment, in the project's zone."""
    zone = config.project.zone
    day = int(local_days(np.array([last_us]), zone)[0])
    return int(days_to_us(np.array([day + 1]), zone)[0])


def chosen_day(date: str | None, last_us: int, config: Config) -> int:
    """Return a date of the command line as a moment (µs UTC); without one, the day after the data.

    Raises:
        CorredorError: it is not a date, or too long after the last touchpoint.
    """
    tomorrow = day_after(last_us, config)
    if date is None:
        return tomorrow
    moment = as_of_us(date, config.project.zone)
    late = (moment - tomorrow) / US_PER_DAY
    if late > config.churn.active_days:
        last = local_date(last_us, config.project.zone)
        raise CorredorError(
            f"--as-of {date} is {late:.0f} days after the last touchpoint ({last}), so everyone would "
            "seem to have left. Load newer data, or choose an earlier day."
        )
    return moment


STORE = Path(".corredor") / "ingested"
"""Where a workspace keeps its sources by bucket, once they are ingested."""


def open_workspace(path: Path) -> Workspace:
    """Load a workspace's configuration and its sources, as ingested if they are, else the files themselves.

    Raises:
        CorredorError: something is missing or unusable, or files came that are not ingested yet; the
            message names it and the fix.
    """
    config = load_config(path)
    store = open_store(config)
    tables = load_tables(config, config.folder) if store is None else store.everything()
    return Workspace(config, tables, build_histories(tables.tables))


def sample_of(workspace: Workspace, share: float) -> Workspace:
    """Return a workspace with a share of its customers, drawn by the hash of their ids."""
    if share == 1.0:
        return workspace
    histories = workspace.histories
    chosen = np.flatnonzero(drawn(histories.customer_ids, share))
    if not len(chosen):
        raise CorredorError(
            f"--sample {share:g}: draws none of {histories.n_customers:,} customers. Take more."
        )
    return replace(workspace, histories=histories.select(chosen))


def open_store(config: Config) -> Store | None:
    """Return what a workspace has ingested; None when it has not.

    Raises:
        CorredorError: a file or query of the sources is not as it was ingested.
    """
    folder = config.folder / STORE
    manifest = read_manifest(folder)
    if manifest is None:
        return None
    store = Store(folder, manifest)
    check_fresh(config, config.folder, store)
    return store


def open_night(path: Path, memory: str | None = None) -> Night:
    """Load a workspace's configuration, and its sources part by part where they are ingested.

    Args:
        path: the configuration.
        memory: what the run may take, such as "2GB"; by default as much as it needs.

    Raises:
        CorredorError: something is missing or unusable, or the memory does not hold the sources.
    """
    config = load_config(path)
    limit = None if memory is None else bytes_of(memory)
    store = open_store(config)
    if store is not None:
        check_named({table: store.names(table) for table in NAMED}, config)
        return Night(config, InBuckets.of(store, limit), store.span()[1], limit)
    if limit is not None:
        check_fits(config, limit)
    tables = load_tables(config, config.folder)
    histories = build_histories(tables.tables)
    return Night(config, InMemory(histories), histories.span()[1], limit)


def check_named(data: Mapping[str, Collection[str]], config: Config) -> None:
    """Check that the kinds and products that a configuration names are in the data.

    Args:
        data: the kinds of the touchpoints and the products of the relationships, by table.
        config: the configuration.

    Raises:
        CorredorError: one is not.
    """
    for names, table, what in (
        ((*config.churn.kinds, *config.principality.kinds), "touchpoints", "kind of touchpoint in the data"),
        (config.churn.products, "relationships", "product in relationships"),
    ):
        known = data[table]
        for name in names:
            if name not in known and known:
                raise unknown_name(what, name, known)
