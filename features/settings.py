"""The part of `corredor.toml` that says where data comes from and what its touchpoints mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Stage = Literal["inform", "advise", "buy", "use", "after-sales", "leave"]
Flow = Literal["information", "negotiation", "product"]
Encounter = Literal["personal", "remote", "telephone"]


class Section(BaseModel):
    """A table of the configuration: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Project(Section):
    """`[project]`: the name, the words and the clock of the company."""

    name: str = Field(min_length=1, pattern=r"^[\w .-]+$")
    timezone: str = "UTC"
    currency: str = "EUR"
    language: Literal["en", "es"] = "en"
    data_folders: tuple[str, ...] = ()
    """Folders, beside the workspace itself, that sources may read."""

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is not an IANA time zone such as 'Europe/Madrid'")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The project's time zone."""
        return ZoneInfo(self.timezone)


class FileSource(Section):
    """`[files.NAME]`: a file, or a pattern of files, read as a table NAME in the `[sources]` queries."""

    path: str
    format: Literal["csv", "parquet", "json"] | None = None
    """By default told from the ending of the path."""
    columns: dict[str, str] = {}
    """Column -> text, integer, decimal, boolean, date or timestamp. CSV columns not named here are text."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    quote: str = Field('"', min_length=1, max_length=1)
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    day_first: bool = False
    time_format: str | None = None
    """A strptime format, when times are neither ISO 8601 nor told by `day_first`."""
    timezone: str | None = None
    """Zone of times that name none; by default the project's."""

    @model_validator(mode="after")
    def _separators_differ(self) -> FileSource:
        if self.thousands == self.decimal:
            raise ValueError("`decimal` and `thousands` are the same character")
        return self


class DatabaseSource(Section):
    """`[databases.NAME]`: tables of an SQLite file or a PostgreSQL server, seen in SQL by their own names."""

    uri: str
    """`sqlite:folder/file.db` or `postgresql://…`; `env:VARIABLE` reads it from the environment.
    `spark:catalog`: the tables that a Spark session knows, for `--engine spark` alone."""
    tables: dict[str, str] = {}
    """Name in the `[sources]` queries -> table, or a `select …`, in that database."""


class Words(Section):
    """How people call something, in both languages of the product."""

    en: str
    es: str


class TouchpointKind(Section):
    """`[touchpoints.KIND]`: what a kind of contact means; everything has a default."""

    stage: Stage = "use"
    flow: Flow | None = None
    direct: bool = True
    key: bool = False
    adequate: float | None = Field(None, ge=0, le=10)
    desired: float | None = Field(None, ge=0, le=10)
    promised_minutes: float | None = Field(None, gt=0)
    deadline_days: float | None = Field(None, gt=0)
    label: Words | None = None


class Channel(Section):
    """`[channels.NAME]`: how people meet there."""

    encounter: Encounter = "remote"
    label: Words | None = None


Cost = Literal["emotional", "psychological", "learning", "economic"]
COSTS: tuple[Cost, ...] = ("emotional", "psychological", "learning", "economic")
"""The four switching costs."""


class SwitchingSignal(Section):
    """`[switching_costs.NAME]`: a number that tells of a switching cost, where the defaults do not have it.

    Which contacts count is narrowed by `kind`, `channel`, `encounter`, `stage`, `item`, `product`, `facet`.
    """

    cost: Cost
    table: Literal["touchpoints", "relationships", "customers", "switching_costs"] = "touchpoints"
    column: str | None = None
    """A numeric column, or an attribute; for `distinct` a column of text."""
    against: str | None = None
    """Another column of the same table: the signal is by which share `column` is above it."""
    measure: Literal["count", "days", "share", "distinct", "total", "mean", "last"] | None = None
    """By default count for touchpoints without a column and last with one; total of relationships."""
    window_days: int = Field(364, ge=1)
    """Days that touchpoints are counted over."""
    kind: str | None = None
    channel: str | None = None
    encounter: Encounter | None = None
    stage: Stage | None = None
    item: str | None = None
    product: str | None = None
    facet: str | None = None
    direction: Literal[1, -1] = 1
    """1: the more of it, the more leaving costs; -1: the less."""
    label: Words | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> SwitchingSignal:
        if self.table == "customers" and self.column is None:
            raise ValueError("a signal of `customers` needs a `column`")
        if self.table == "switching_costs" and self.facet is None:
            raise ValueError("a signal of `switching_costs` needs a `facet`")
        if self.against is not None and (
            self.column is None or self.table in ("touchpoints", "switching_costs")
        ):
            raise ValueError("`against` compares two columns of `customers` or `relationships`")
        if self.measure in ("total", "mean", "last", "distinct") and self.table == "touchpoints":
            if self.column is None:
                raise ValueError(f"measure {self.measure!r} of touchpoints needs a `column`")
        return self


class Quarters(Section):
    """`[quarters]`: from where a customer counts as satisfied (0-10), and as held (mean index, 0-100)."""

    satisfied_from: float = Field(6.0, gt=0, lt=10)
    held_from: float = Field(50.0, gt=0, lt=100)


class People(Section):
    """`[people]`: who may see the names of those who serve; pages and lists name teams only."""

    names_to: tuple[str, ...] = ()
    """Roles; `corredor report --role ROLE` tells people by name to these."""


class FeatureSettings(Section):
    """`[features]`: how much is expanded."""

    windows_days: tuple[int, ...] = (7, 14, 28, 56, 84, 182, 364)
    max_kinds: int = Field(40, ge=1, le=500)
    max_channels: int = Field(12, ge=0, le=100)
    max_items: int = Field(40, ge=0, le=1000)
    min_share: float = Field(0.005, ge=0, le=1)
    """A kind, channel, item or level seen in fewer than this share of customers folds into `other`."""
    known_since: dict[str, str] = {}
    """`table` or `table.column` -> date since when an undated column has been known as it stands."""
    exclude: tuple[str, ...] = ()
    """Features, by name or pattern (`*_7d`), that are never built."""

    @field_validator("windows_days")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or any(w < 1 for w in value) or list(value) != sorted(set(value)):
            raise ValueError("windows_days must be whole days, ascending, without repeats")
        return value


class DataSettings(Section):
    """All of the configuration that `features` needs; `training.config.Config` adds the rest."""

    project: Project
    sources: dict[str, str]
    files: dict[str, FileSource] = {}
    databases: dict[str, DatabaseSource] = {}
    touchpoints: dict[str, TouchpointKind] = {}
    channels: dict[str, Channel] = {}
    switching_costs: dict[str, SwitchingSignal] = {}
    quarters: Quarters = Quarters()
    people: People = People()
    features: FeatureSettings = FeatureSettings()

    @field_validator("sources")
    @classmethod
    def _touchpoints_are_there(cls, value: dict[str, str]) -> dict[str, str]:
        if "touchpoints" not in value:
            raise ValueError("the table `touchpoints` is required")
        return value


@dataclass(frozen=True)
class Activity:
    """Which contacts show that a customer is with us, and the clock of the question asked of them.

    `kinds` empty means any kind. The features of pace follow these contacts; the labels of
    `training` use the same definition.
    """

    kinds: tuple[str, ...] = ()
    active_days: int = 56
    gap_days: int = 0
    horizon_days: int = 56
