"""A workspace that is open: its configuration, its tables and the histories made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from features.clock import US_PER_DAY, as_of_us, days_to_us, local_date, local_days
from features.contract import Tables
from features.errors import CorredorError
from features.histories import Histories, build_histories
from features.sources import load_tables
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
        import numpy as np

        zone = self.config.project.zone
        day = int(local_days(np.array([self.histories.span()[1]]), zone)[0])
        return int(days_to_us(np.array([day + 1]), zone)[0])

    def as_of(self, date: str | None) -> int:
        """Return a date of the command line as a moment (µs UTC); without one, the day after the data.

        Raises:
            CorredorError: it is not a date, or is more than a day after the data end.
        """
        if date is None:
            return self.tomorrow_us
        moment = as_of_us(date, self.config.project.zone)
        late = (moment - self.tomorrow_us) / US_PER_DAY
        if late > self.config.churn.active_days:
            last = local_date(self.histories.span()[1], self.config.project.zone)
            raise CorredorError(
                f"--as-of {date} is {late:.0f} days after the last touchpoint ({last}), so everyone would "
                "seem to "
                "have left. Load newer data, or choose an earlier day."
            )
        return moment


def open_workspace(path: Path) -> Workspace:
    """Load a workspace's configuration and its sources.

    Raises:
        CorredorError: something is missing or unusable; the message names it and the fix.
    """
    config = load_config(path)
    tables = load_tables(config, config.folder)
    return Workspace(config, tables, build_histories(tables.tables))
