"""The whole of `corredor.toml`: the data's part (`features.settings`) and what is asked of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from features.errors import CorredorError
from features.settings import Activity, DataSettings, Section


class Churn(Section):
    """`[churn]`: what leaving is. The label window is `[as_of + gap, as_of + gap + horizon)`."""

    rule: Literal["inactivity", "ended"] = "inactivity"
    kinds: tuple[str, ...] = ()
    """Kinds that count as activity (rule `inactivity`); empty means any."""
    products: tuple[str, ...] = ()
    """Products whose end is churn (rule `ended`); empty means any: the last one to end counts."""
    active_days: int = Field(56, ge=1)
    gap_days: int = Field(0, ge=0)
    horizon_days: int = Field(56, ge=1)


class Principality(Section):
    """`[principality]`: how being the main provider shows in the label window after `as_of`."""

    rule: Literal["none", "usage", "share", "declared"] = "none"
    kinds: tuple[str, ...] = ()
    """Kinds that count as use (rule `usage`); empty means the kinds of `[churn]`."""
    min_weeks_share: float = Field(0.75, gt=0, le=1)
    """Share of the window's weeks with use (rule `usage`)."""
    min_items: int = Field(0, ge=0)
    """Distinct staples used in the window (rule `usage`)."""
    staples: tuple[str, ...] = ()
    """Items that count; empty means the most widely used ones before the first `as_of`, fitted."""
    threshold: float = Field(0.5, gt=0, le=1)
    """Share of wallet from which we are the main provider (rule `share`)."""
    wallets: Literal["last", "all"] = "last"
    """Which wallets of the window count (rules `share`, `declared`): the last answer, or all alike, for
    wallets made of purchases or account movements, each of which tells little."""


class Value(Section):
    """`[value]`: what a customer is worth, and the parameters of the expected maximum profit (EMPC)."""

    annual: float | None = Field(None, gt=0)
    """Worth of any customer per year, when the `customers` table has no `value` column."""
    empc_clv: float = Field(200.0, gt=0)
    empc_incentive: float = Field(10.0, ge=0)
    empc_contact: float = Field(1.0, ge=0)
    empc_alpha: float = Field(6.0, gt=0)
    empc_beta: float = Field(14.0, gt=0)


class Training(Section):
    """`[training]`: the panel and the bag. One frozen recipe serves all data; change it knowingly."""

    step_days: int = Field(14, ge=1)
    max_dates: int = Field(12, ge=2)
    seeds: int = Field(6, ge=1, le=32)
    seed: int = 0
    threads: int = Field(1, ge=1)
    monotone: bool = False
    """Hold features to the direction that their definition knows: a longer silence never lowers the risk."""


class Tracking(Section):
    """`[tracking]`: where MLflow keeps runs and models; `MLFLOW_TRACKING_URI` wins over `uri`."""

    uri: str | None = None
    experiment: str | None = None
    model_name: str | None = None


class Config(DataSettings):
    """A workspace's configuration, and the folder that holds it."""

    churn: Churn = Churn()
    principality: Principality = Principality()
    value: Value = Value()
    training: Training = Training()
    tracking: Tracking = Tracking()
    folder: Path = Field(Path(), exclude=True)

    @property
    def activity(self) -> Activity:
        """The churn question as the features see it."""
        c = self.churn
        return Activity(c.kinds, c.active_days, c.gap_days, c.horizon_days)

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return self.tracking.model_name or f"corredor-{self.project.name}"


def load_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        CorredorError: the file is not there, is not TOML, or a key is unknown or unusable; the
            message names the key.
    """
    path = Path(path)
    if not path.is_file():
        raise CorredorError(f"{path}: there is no such configuration. Make one with `corredor init`.")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorredorError(f"{path}: not readable as TOML: {error}") from None
    try:
        return Config.model_validate({**raw, "folder": path.resolve().parent})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise CorredorError(f"{path}: [{where}] {first['msg']}{more}") from None
