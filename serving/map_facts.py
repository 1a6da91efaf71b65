"""What the page of the map is filled with: the drawing, the rows of its tables, the numbers by slice."""

from __future__ import annotations

import importlib.metadata
from typing import Any, get_args

import numpy as np

from features.clock import local_date
from features.corridor_map import Slice
from features.flow import FEWEST
from features.periods import trend
from features.profile import LIFECYCLE
from features.settings import Stage
from features.stretches import NONE, Floats
from serving.map_layout import HEIGHT, WIDTH, choose, lay_out
from serving.map_words import US_PER_HOUR, channel_label, kind_label, list_text, map_words, repair_words, span
from training.config import Config
from training.corridor import Corridor
from training.words import Language, number, percent

MOST_ROWS = 300
"""Stretches in the table and in the page's data."""
MOST_PER_KIND = 4
"""Stretches on the map, per kind; at first only those that it rests on are shown."""
LONGEST_LABEL = 19
MARGIN = 30.0


class Telling:
    """Everything that the page says, in the project's language."""

    def __init__(self, corridor: Corridor, config: Config) -> None:
        self.corridor, self.config = corridor, config
        self.language: Language = config.project.language
        self.words = map_words(self.language)
        self.map, self.steps = corridor.map, corridor.map.steps
        self.labels = [kind_label(kind, config) for kind in self.steps.kinds]
        kinds = len(self.steps.kinds)
        self.edges = [divmod(int(s), max(kinds, 1)) for s in self.map.stretches]
        place = {int(s): n for n, s in enumerate(self.map.stretches)}
        repairs = corridor.repairs.repairs
        self.repair_of = {place[r.stretch]: n for n, r in enumerate(repairs) if r.stretch in place}
        volume = dict(zip(self.edges, self.map.whole.measured.volume.tolist(), strict=True))
        listed = [divmod(r.stretch, max(kinds, 1)) for r in repairs]
        bearing, others = choose(kinds, volume, listed, int(MOST_PER_KIND * kinds) + 4)
        self.layout = lay_out(
            kinds, bearing, others, [e for e, r in zip(listed, repairs, strict=True) if r.clear]
        )
        self.shown = len(bearing)
        self.rank = {edge: n for n, edge in enumerate([*bearing, *others])}
        self.rows = [n for n, e in enumerate(self.edges) if n < MOST_ROWS or e in self.rank]
        self.trend = trend(self.map.periods)

    def page(self) -> dict[str, Any]:
        """Return what the template fills in."""
        corridor, config = self.corridor, self.config
        through = ""
        if corridor.channel is not None:
            through = self.words["only_through"].format(channel=channel_label(corridor.channel, config))
        gap = span(self.steps.gap, self.words, self.language)
        version = importlib.metadata.version("corredor")
        return {
            "language": self.language,
            "project": config.project.name,
            "as_of": local_date(corridor.as_of_us, config.project.zone),
            "through": through,
            "tiles": self._tiles(),
            "repairs": [repair_words(r, n, corridor, config) for n, r in enumerate(corridor.repairs.repairs)],
            "list_text": list_text(corridor, self.words),
            "svg": self._svg(),
            "shown": self.shown,
            "drawn": len(self.rank),
            "stages": [(n, self.words[f"stage_{s}"]) for n, s in enumerate(LIFECYCLE)],
            "channels": [(n, channel_label(c, config)) for n, c in enumerate(self.steps.channels)],
            "parts": [
                (p, self.words[f"part_{p}"])
                for p in get_args(Stage)
                if any(self._part(k) == p for k in self.steps.kinds)
            ],
            "rows": [self._row(n) for n in self.rows],
            "table_text": self.words["table_text"].format(
                shown=len(self.rank), total=len(self.edges), rows=len(self.rows)
            ),
            "kinds": self._kinds(),
            "differences": self._differences(),
            "teams": self._teams(),
            "teams_text": self.words["teams_text"].format(fewest=FEWEST),
            "variants": self._variants(),
            "foot": [self.words["foot_1"].format(gap=gap), self.words["foot_2"].format(version=version)],
        }

    def data(self) -> dict[str, Any]:
        """Return what the script reads: numbers by slice, and the words that it writes."""
        slices = {f"{s},{c}": part for (s, c), part in self.corridor.parts.items()}
        chosen_rows = np.array(self.rows, np.int64)
        keep: tuple[str, ...] = (
            "minutes",
            "hours",
            "days",
            "contacts",
            "customers",
            "begins",
            "leads_on",
            "abandoned",
        )
        keep += (
            "volume",
            "median",
            "p90",
            "turns_back",
            "held_up",
            "in_progress",
            "trend",
            "target",
            "since",
        )
        keep += ("left", "stayed", "over_time", "details", "by_group")
        return {
            "language": self.language,
            "words": {name: self.words[name] for name in keep},
            "kinds": [
                {
                    "label": self.labels[k],
                    "part": self._part(self.steps.kinds[k]),
                    "facts": self._facts_of_kind(k),
                }
                for k in range(len(self.labels))
            ],
            "edges": [self._facts_of_edge(n) for n in self.rows],
            "slices": {
                key: {
                    "contacts": part.contacts.tolist(),
                    "volume": part.measured.volume[chosen_rows].tolist(),
                    "customers": part.measured.customers[chosen_rows].tolist(),
                    "median": _hours(part.measured.median[chosen_rows]),
                    "p90": _hours(part.measured.p90[chosen_rows]),
                    "back": _shares(part.measured.turns_back[chosen_rows]),
                    "gone": _shares(part.measured.abandoned[chosen_rows]),
                    "held": _shares(part.held[chosen_rows]),
                }
                for key, part in slices.items()
            },
        }

    def _tiles(self) -> list[dict[str, Any]]:
        journeys, words, language = self.map.throughput, self.words, self.language
        repairs = self.corridor.repairs
        clear = [r for r in repairs.repairs if r.clear]
        alone = percent(journeys.of_one_contact / max(journeys.journeys, 1), language)
        tiles: list[dict[str, Any]] = [
            {
                "value": number(journeys.journeys, language),
                "text": words["tile_journeys"].format(share=alone),
            },
            {
                "value": span(journeys.median, words, language),
                "text": words["tile_throughput"].format(p90=span(journeys.p90, words, language)),
            },
        ]
        if repairs.repairs:
            held = sum(r.held_now for r in repairs.repairs)
            text = words["tile_held"].format(days=repairs.recent_days)
            tiles.append({"value": number(held, language), "text": text, "alarm": True})
        if clear and repairs.worth_source != "none":
            text = words["tile_risk"].format(currency=self.config.project.currency)
            risk = number(round(sum(r.at_risk.value for r in clear)), language)
            tiles.append({"value": risk, "text": text, "alarm": True})
        return tiles

    def _part(self, kind: str) -> str:
        found = self.config.touchpoints.get(kind)
        return found.stage if found else "use"

    def _state(self, place: int) -> str:
        """Return the state of a stretch: that of the repair list, if it is clear there or became worse."""
        rank = self.repair_of.get(place)
        if rank is None:
            return "usual"
        repair = self.corridor.repairs.repairs[rank]
        return repair.nature if repair.clear or repair.worsened else "usual"

    def _svg(self) -> dict[str, Any]:
        layout, whole = self.layout, self.map.whole
        place = {edge: n for n, edge in enumerate(self.edges)}
        row = {n: r for r, n in enumerate(self.rows)}
        most = max(int(whole.measured.volume.max(initial=0)), 1)
        edges = []
        for edge, rank in self.rank.items():
            n = place[edge]
            x, y = layout.middle[edge]
            listed = self.repair_of.get(n)
            edges.append(
                {
                    "row": row[n],
                    "rank": rank,
                    "path": layout.ways[edge],
                    "state": self._state(n),
                    "width": round(1.1 + 5.4 * float(whole.measured.volume[n] / most) ** 0.5, 2),
                    "badge": None if listed is None or self._state(n) == "usual" else listed + 1,
                    "x": round(x, 1),
                    "y": round(y, 1),
                    "title": self._stretch(n),
                }
            )
        edges.sort(key=lambda e: (e["state"] != "usual", -(e["badge"] or len(edges)), -e["rank"]))
        nodes = [
            {
                "kind": k,
                "x": round(x - WIDTH / 2, 1),
                "y": round(y - HEIGHT / 2, 1),
                "label": _short(self.labels[k]),
                "title": self.labels[k],
                "part": self._part(self.steps.kinds[k]),
                "contacts": number(int(self.map.nodes.contacts[k]), self.language),
            }
            for k, (x, y) in sorted(layout.center.items())
        ]
        box = (-MARGIN, -MARGIN, layout.width + 2 * MARGIN, layout.height + 2 * MARGIN)
        return {
            "edges": edges,
            "nodes": nodes,
            "box": " ".join(f"{v:.0f}" for v in box),
            "w": WIDTH,
            "h": HEIGHT,
        }

    def _stretch(self, place: int) -> str:
        a, b = self.edges[place]
        return f"{self.labels[a]} → {self.labels[b]}"

    def _row(self, n: int) -> dict[str, Any]:
        """Return a row of the table of stretches."""
        measured, language = self.map.whole.measured, self.language
        return {
            "stretch": self._stretch(n),
            "state": self._state(n),
            "drawn": self.edges[n] in self.rank,
            "cells": [
                number(int(measured.volume[n]), language),
                number(int(measured.customers[n]), language),
                span(measured.median[n], self.words, language),
                span(measured.p90[n], self.words, language),
                _percent(measured.turns_back[n], language),
                _percent(measured.abandoned[n], language),
                _percent(self.map.whole.held[n], language),
                _percent(self.map.blocked[n], language),
                self._progress(n),
            ],
        }

    def _progress(self, n: int) -> str:
        now = self.map.periods.in_progress[n]
        known = now[~np.isnan(now)]
        return number(float(known[-1]), self.language) if len(known) else "·"

    def _facts_of_edge(self, n: int) -> dict[str, Any]:
        """Return what the details of a stretch say beside the numbers of the slice."""
        stretch, language, words = int(self.map.stretches[n]), self.language, self.words
        a, b = self.edges[n]
        targets, worse = self.map.targets, self.map.worsened[n]
        change = self.trend[n]
        facts = [
            [words["target"], span(float(targets.limit[stretch]), words, language)],
            [words["in_progress"], self._progress(n)],
            [words["trend"], "·" if np.isnan(change) else f"× {number(float(change), language, decimals=2)}"],
        ]
        if targets.limit[stretch] < 0:
            facts[0][1] = "·"
        elif not targets.promised[stretch]:
            facts[0][1] += f" ({words['own_usual']})"
        if worse is not None:
            was = words["was"].format(share=percent(worse.held_before, language))
            facts.append([words["since"], f"{local_date(worse.since, self.config.project.zone)} ({was})"])
        groups = {words[name]: part for name, part in self.corridor.afterwards.items()}
        groups |= self.corridor.segments
        return {
            "a": a,
            "b": b,
            "facts": facts,
            "groups": [
                [
                    name,
                    f"{_percent(part.held[n], language)} · {span(part.measured.median[n], words, language)}",
                ]
                for name, part in groups.items()
            ],
            "series": _shares(self.map.periods.held[n]),
        }

    def _facts_of_kind(self, k: int) -> list[list[str]]:
        nodes, language, words = self.map.nodes, self.language, self.words
        return [
            [words["customers"], number(int(nodes.customers[k]), language)],
            [words["begins"], number(int(nodes.begins[k]), language)],
            [words["leads_on"], _percent(nodes.leads_on[k], language)],
            [words["abandoned"], _percent(nodes.abandoned[k], language)],
        ]

    def _kinds(self) -> list[list[str]]:
        nodes = self.map.nodes
        return [
            [
                self.labels[k],
                self.words[f"part_{self._part(self.steps.kinds[k])}"],
                number(int(nodes.contacts[k]), self.language),
                *(value for _, value in self._facts_of_kind(k)),
            ]
            for k in np.argsort(-nodes.contacts, kind="stable").tolist()
        ]

    def _differences(self) -> dict[str, Any] | None:
        """Return the share held up on the stretches of the repair list, by whom."""
        groups = {self.words[f"stage_{s}"]: self.corridor.parts[n, NONE] for n, s in enumerate(LIFECYCLE)}
        groups |= {self.words[name]: part for name, part in self.corridor.afterwards.items()}
        groups |= self.corridor.segments
        rows = [
            [self._stretch(n), *(_percent(part.held[n], self.language) for part in groups.values())]
            for n in sorted(self.repair_of, key=lambda n: self.repair_of[n])
        ]
        return {"heads": [self.words["stretch"], *groups], "rows": rows} if rows else None

    def _teams(self) -> dict[str, Any] | None:
        """Return the share held up on the stretches of the repair list of what each team took."""
        teams = {self.words["other_teams"] if t is None else t: s for t, s in self.corridor.teams.items()}
        rows = [
            [self._stretch(n), *(self._held_of_enough(part, n) for part in teams.values())]
            for n in sorted(self.repair_of, key=lambda n: self.repair_of[n])
            if any(part.known[n] >= FEWEST for part in teams.values())
        ]
        return {"heads": [self.words["stretch"], *teams], "rows": rows} if rows else None

    def _held_of_enough(self, part: Slice, n: int) -> str:
        return _percent(part.held[n] if part.known[n] >= FEWEST else np.nan, self.language)

    def _variants(self) -> list[list[str]]:
        found = self.map.throughput
        label = dict(zip(self.steps.kinds, self.labels, strict=True))
        return [
            [
                " → ".join(label.get(kind, kind) for kind in kinds),
                number(count, self.language),
                percent(count / max(found.journeys, 1), self.language),
            ]
            for kinds, count in found.variants
        ]


def _percent(share: float, language: Language) -> str:
    return "·" if np.isnan(share) else percent(float(share), language)


def _shares(values: Floats) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]


def _hours(values: Floats) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v) / US_PER_HOUR, 3) for v in values]


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1].rstrip() + "…"
