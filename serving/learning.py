"""Training and testing from a workspace: learnt, drawn, recorded, and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from features.clock import as_of_us, local_date
from serving import charts
from serving.console import Advance
from serving.report import report_words
from serving.workspace import Workspace
from training.backtest import Backtest, backtest, backtest_dates
from training.bundle import CHURN, Bundle
from training.config import Config
from training.fingerprints import fingerprints
from training.panel import Snapshots
from training.registry import RegisteredVersion, champion_bundle, log_training
from training.train import learn

Step = Callable[[str], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class Trained:
    """A model that was trained and registered."""

    bundle: Bundle
    registered: RegisteredVersion
    config: Config

    def to_json(self) -> dict[str, Any]:
        """Return what a machine may want to know of it."""
        return {
            "model": self.registered.name,
            "version": self.registered.version,
            "aliases": list(self.registered.aliases),
            "bundle": self.bundle.id,
            "window": asdict(self.bundle.window),
            "measures": self.bundle.measures,
            "beats_baselines": self.bundle.beats_baselines,
            "verdict": self.bundle.verdict,
        }


def train_and_register(
    workspace: Workspace,
    until_us: int,
    step: Step,
    *,
    share: float = 1.0,
    snapshots: Snapshots | None = None,
) -> Trained:
    """Learn from what was known before a moment, and register the model as the challenger.

    Args:
        workspace: the data, of all customers or of a sample of them.
        until_us: the moment, µs UTC.
        step: told what is done.
        share: of the customers that the workspace has.
        snapshots: where the features of the panel are computed.

    Raises:
        CorredorError: there is not enough to learn from, or the registry cannot be used.
    """
    config, histories = workspace.config, workspace.histories
    with step("training"):
        bundle = learn(histories, config, until_us, share=share, snapshots=snapshots)
    with step("registering"):
        registered = log_training(
            bundle,
            config,
            plots=plots(bundle, config),
            fingerprints=fingerprints(histories.known_before(until_us)),
        )
    return Trained(champion_bundle(config, registered.version), registered, config)


def run_backtest(
    workspace: Workspace, dates: Sequence[str] | None, step: Step, *, ablation: bool = False
) -> Backtest:
    """Train and test at past dates; without dates, at the newest whose outcome is known.

    Raises:
        CorredorError: a date is not one, its outcome is not known yet, or there is too little before it.
    """
    config, histories = workspace.config, workspace.histories
    zone = config.project.zone
    if dates is None:
        chosen = backtest_dates(histories, config)
    else:
        chosen = [as_of_us(date, zone) for date in dates]
    named = ", ".join(local_date(date, zone) for date in sorted(chosen))
    with step(f"training and testing at {named}") as advance:
        return backtest(histories, config, chosen, ablation=ablation, tell=advance)


def plots(bundle: Bundle, config: Config) -> dict[str, bytes | str]:
    """Return the curves of the out-of-time test as SVG, by file name."""
    curves: Mapping[str, Any] = (bundle.measures.get(CHURN) or {}).get("curves") or {}
    if not curves:
        return {}
    words = report_words(config.project.language)
    reach = {
        "value": words["their_value"],
        **{k: words[k] for k in ("churners", "random", "contacted", "reached")},
    }
    profit = {
        "contacted": words["contacted"],
        "profit": words["profit"].format(currency=config.project.currency),
    }
    return {
        "calibration.svg": charts.reliability(curves["reliability"], words),
        "lift.svg": charts.gains(curves["gains"], reach),
        "profit.svg": charts.profit(curves["profit"], profit),
    }
