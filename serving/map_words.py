"""How the map and its repair list say things, on the page and in the terminal."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from features.clock import US_PER_DAY, local_date
from features.streams import NULL
from serving.page import Words, money
from training.config import Config
from training.corridor import Corridor
from training.repairs import Repair
from training.words import Language, number, percent

US_PER_MINUTE, US_PER_HOUR = 60_000_000, 3_600_000_000


def map_words(language: Language) -> dict[str, str]:
    """Return the map's words in a language."""
    text = files("serving").joinpath("templates/map.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)[language])


def span(us: float, words: Words, language: Language) -> str:
    """Return a length of time as people say it.

    >>> span(90 * 60_000_000, map_words("en"), "en"), span(3.5 * US_PER_DAY, map_words("es"), "es")
    ('1.5 h', '3,5 días')
    """
    if np.isnan(us) or us == NULL:
        return "·"
    if us < US_PER_HOUR:
        return f"{number(us / US_PER_MINUTE, language)} {words['minutes']}"
    if us < 2 * US_PER_DAY:
        return f"{number(us / US_PER_HOUR, language)} {words['hours']}"
    return f"{number(us / US_PER_DAY, language)} {words['days']}"


def kind_label(kind: str, config: Config) -> str:
    """Return a kind of contact as the company calls it."""
    found = config.touchpoints.get(kind)
    return getattr(found.label, config.project.language) if found and found.label else kind.replace("_", " ")


def channel_label(channel: str, config: Config) -> str:
    """Return a channel as the company calls it."""
    found = config.channels.get(channel)
    return getattr(found.label, config.project.language) if found and found.label else channel


@dataclass(frozen=True)
class RepairWords:
    """A row of the repair list, in words."""

    rank: int
    stretch: str
    nature: str
    """`blocked` or `congested`."""
    state: str
    what: str
    since: str
    was: str
    customers: str
    excess: str
    at_risk: str
    clear: bool


def repair_words(repair: Repair, rank: int, corridor: Corridor, config: Config) -> RepairWords:
    """Return a row of the repair list, in the project's language."""
    language = config.project.language
    words = map_words(language)
    before, after = (kind_label(k, config) for k in corridor.map.pair(repair.stretch))
    target = span(repair.target, words, language)
    own = "deadline" if repair.nature == "blocked" else "promised"
    limit = f"{target} ({words[own if repair.promised else 'own_usual']})"
    said = words[f"sentence_{repair.nature}"]
    worse = repair.worsened
    excess = [number(100 * e, language, decimals=1) for e in repair.excess]
    low, high = (number(round(r), language) for r in repair.at_risk[1:])
    risk = number(round(repair.at_risk.value), language)
    if corridor.repairs.worth_source != "none":
        risk = money(round(repair.at_risk.value), language, config.project.currency)
    return RepairWords(
        rank=rank + 1,
        stretch=f"{before} → {after}",
        nature=repair.nature,
        state=words[repair.nature],
        what=said.format(share=percent(repair.held, language), limit=limit, **{"from": before}),
        since="" if worse is None else local_date(worse.since, config.project.zone),
        was="" if worse is None else words["was"].format(share=percent(worse.held_before, language)),
        customers=number(repair.held_now, language),
        excess=f"{excess[0]} ({excess[1]} – {excess[2]}) {words['points']}",
        at_risk=f"{risk} ({low} – {high})",
        clear=repair.clear,
    )


def show_corridor(corridor: Corridor, config: Config) -> None:
    """Print the repair list."""
    from serving.console import say_table

    rows = [repair_words(r, n, corridor, config) for n, r in enumerate(corridor.repairs.repairs)]
    if not rows:
        return
    words = map_words(config.project.language)
    columns = ("stretch", "nature", "held_up", "since", "customers", "more_leave", "at_risk")
    say_table(
        ("#", *(words[c] for c in columns)),
        [
            (
                str(r.rank),
                r.stretch,
                r.state,
                r.what,
                f"{r.since} ({r.was})" if r.since else None,
                r.customers,
                r.excess if r.clear else f"{r.excess}, {words['unclear']}",
                r.at_risk,
            )
            for r in rows
        ],
        title=words["list_title"],
        wrap=(words["held_up"],),
    )


def repair_lines(corridor: Corridor, config: Config) -> list[str]:
    """Return what to say below the list: what was compared, and the key numbers of the map."""
    language, found = config.project.language, corridor.map.throughput
    words = map_words(language)
    alone = percent(found.of_one_contact / max(found.journeys, 1), language)
    journeys = f"{number(found.journeys, language)} {words['tile_journeys'].format(share=alone)}"
    through = words["tile_throughput"].format(p90=span(found.p90, words, language))
    return [list_text(corridor, words), f"{journeys}; {span(found.median, words, language)} {through}."]


def list_text(corridor: Corridor, words: Words) -> str:
    """Return what the repair list rests on, or why it is empty."""
    found = corridor.repairs
    if not found.cohorts:
        return words["list_short"]
    if not found.repairs:
        return words["list_empty"]
    worth = words[f"worth_{found.worth_source}"]
    version = found.model_version
    at_risk = words["by_excess"] if version is None else words["by_model"].format(model=version)
    return words["list_text"].format(
        cohorts=found.cohorts, days=found.recent_days, at_risk=at_risk, worth=worth
    )


def repair_rows(corridor: Corridor, config: Config) -> list[dict[str, object]]:
    """Return the repair list as JSON values: dates as ISO text, times in days."""
    zone = config.project.zone
    rows: list[dict[str, object]] = []
    for r in corridor.repairs.repairs:
        before, after = corridor.map.pair(r.stretch)
        worse = r.worsened
        rows.append(
            {
                "from": before,
                "to": after,
                "nature": r.nature,
                "target_days": r.target / US_PER_DAY,
                "promised": r.promised,
                "entered": r.entered,
                "held": r.held,
                "worse_since": None if worse is None else local_date(worse.since, zone),
                "held_before": None if worse is None else worse.held_before,
                "customers": r.held_now,
                "worth": r.worth,
                "stake": r.stake,
                "excess": r.excess._asdict(),
                "value_at_risk": r.at_risk._asdict(),
                "clear": r.clear,
            }
        )
    return rows
