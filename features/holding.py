"""What holds a customer, as numbers: the signals of each switching cost, observed and surveyed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.expressions import Expr, Rows, coalesce, step, unknown
from features.vocabulary import Vocabulary, slug

COSTS = ("emotional", "psychological", "learning", "economic")
FACETS = {
    "emotional": ("emotional", "brand", "brand_relationship", "brand_relationship_loss"),
    "psychological": ("psychological", "personal", "personal_relationship", "personal_relationship_loss"),
    "learning": ("learning", "setup", "evaluation", "procedural", "economic_risk"),
    "economic": ("economic", "benefit_loss", "monetary_loss", "financial"),
}
"""Surveyed facets by the switching cost they speak of: the procedural, financial and relational facets
of Burnham, Frels and Mahajan (2003), J. Acad. Mark. Sci. 31(2); the split in four is ours."""
WELCOMED = ("referral", "recommendation", "review", "event")
"""Kinds of touchpoints that show that the brand is welcome, by a word in their name."""
YEAR = 364
QUANTILES = np.linspace(0.05, 0.95, 19)

Percentiles = tuple[tuple[float, ...], tuple[float, ...]]
"""Edges, and the share of the population below the middle of each stretch between them."""


class Signal(NamedTuple):
    """A number that tells of one switching cost: the more of it, the higher the cost."""

    name: str
    cost: str
    surveyed: bool
    expression: Expr


def cost_of(facet: str) -> str:
    """Return the switching cost that a surveyed facet speaks of; economic when its name tells nothing."""
    return next((cost for cost, facets in FACETS.items() if slug(facet) in facets), "economic")


def signals(v: Vocabulary) -> list[Signal]:
    """Return the signals that the data has."""
    found: list[Signal] = []
    for kind in v.kinds:
        if any(word in slug(kind) for word in WELCOMED):
            count = Rows("touchpoints", ("kind", kind)).count(YEAR)
            found.append(Signal(f"{slug(kind)}_count", "emotional", False, count))
    for encounter, cost in (("personal", "psychological"), ("remote", "learning")):
        # where a kind of contact is all there is of an encounter, it would say that kind's frequency again
        if ("encounter", encounter) in v.groups:
            count = Rows("touchpoints", ("encounter", encounter)).count(YEAR)
            found.append(Signal(f"{encounter}_contacts", cost, False, count))
    if "relationships" in v.streams:
        held = Rows("relationships", ("change", "held"))
        committed = Rows("relationships", ("change", "committed"))
        found += [
            Signal("products", "learning", False, held.total("held")),
            Signal("autopay", "learning", False, coalesce(held.total("autopay"), 0.0)),
            Signal("exit_fee", "economic", False, held.total("exit_fee")),
            Signal("accrued_benefit", "economic", False, held.total("accrued_benefit")),
            Signal("commitments", "economic", False, committed.total("committed")),
        ]
    for facet in v.facets:
        told = Rows("switching_costs", ("facet", facet)).last("value")
        found.append(Signal(f"asked_{slug(facet)}", cost_of(facet), True, told))
    return found


def percentiles(values: npt.NDArray[np.float64]) -> Percentiles | None:
    """Return the table that turns a signal into its percentile in the population; None: nothing to tell.

    >>> percentiles(np.array([0.0, 0.0, 1.0, 1.0]))
    ((1.0,), (0.25, 0.75))
    """
    known = np.sort(values[~np.isnan(values)])
    if not len(known) or known[0] == known[-1]:
        return None
    edges = np.unique(np.append(np.quantile(known, QUANTILES, method="inverted_cdf"), known[-1]))
    edges = edges[edges > known[0]]
    below = np.concatenate([[0], np.searchsorted(known, edges), [len(known)]]) / len(known)
    return tuple(edges.tolist()), tuple(((below[1:] + below[:-1]) / 2).tolist())


def index(mine: list[Signal], tables: Mapping[str, Percentiles]) -> Expr | None:
    """Return the mean percentile, 0 to 100, of the signals that are known of a customer; None without any."""
    ranks = [step(s.expression, *tables[s.name]) for s in mine if s.name in tables]
    if not ranks:
        return None
    total, known = coalesce(ranks[0], 0.0), 1.0 - unknown(ranks[0])
    for rank in ranks[1:]:
        total, known = total + coalesce(rank, 0.0), known + (1.0 - unknown(rank))
    return total / known * 100.0
