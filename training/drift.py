"""The two-way picture: who leaves, joined with who keeps us as the main provider. Silent drift is in it.

The churn model says who leaves. The principality model says, of those who stay, for whom we are the main
provider later; so the three ends of a customer always sum to one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definition import Words

Floats = npt.NDArray[np.float64]
States = npt.NDArray[np.int8]

TODAY = {1: "principal", 0: "secondary", -1: "not_known"}
"""What we are to a customer today."""
ENDS = ("principal", "secondary", "leaves")
"""What becomes of it: stays, with us as the main provider; stays, with another; leaves."""
WAYS: Mapping[str, Mapping[str, str]] = {
    "principal": {
        "principal": "stays_principal",
        "secondary": "silent_drift",
        "leaves": "leaves_principal",
    },
    "secondary": {
        "principal": "becomes_principal",
        "secondary": "stays_secondary",
        "leaves": "leaves_secondary",
    },
    "not_known": {"principal": "principal", "secondary": "secondary", "leaves": "leaves"},
}
"""State today -> end -> the way from the one to the other."""
WAY_WORDS: Mapping[str, Words] = {
    "stays_principal": Words("stays, as their main provider", "sigue, como proveedor principal"),
    "silent_drift": Words(
        "silent drift: stays, with another as main provider",
        "deriva silenciosa: sigue, con otro como proveedor principal",
    ),
    "leaves_principal": Words("leaves, though we were the main one", "se va, siendo nosotros el principal"),
    "becomes_principal": Words(
        "won over: we become the main provider", "ganado: pasamos a ser el proveedor principal"
    ),
    "stays_secondary": Words("stays, with another as main provider", "sigue, con otro como principal"),
    "leaves_secondary": Words("leaves, with another as main provider", "se va, con otro como principal"),
    "principal": Words("stays, as their main provider", "sigue, como proveedor principal"),
    "secondary": Words("stays, with another as main provider", "sigue, con otro como principal"),
    "leaves": Words("leaves", "se va"),
}
SHOWN_MOMENTS = 8


@dataclass(frozen=True)
class TwoWay:
    """Snapshots with their state today and the probabilities of their ends; `[n_snapshots]` each.

    `today` is 1 (we are the main provider), 0 (another is) or -1 (not known); `ends` is
    float64[n_snapshots, 3] in the order of `ENDS`. `churned` and `principal` are what happened, where
    that is known: `principal` is -1 of those who left.
    """

    today: States
    ends: Floats
    churned: States | None = None
    principal: States | None = None

    @property
    def way(self) -> npt.NDArray[np.object_]:
        """The likeliest way of each."""
        likeliest = self.ends.argmax(axis=1)
        return np.array(
            [WAYS[TODAY[t]][ENDS[e]] for t, e in zip(self.today.tolist(), likeliest.tolist(), strict=True)],
            object,
        )

    @property
    def drift(self) -> Floats:
        """Probability of silent drift; NaN of those whose main provider we are not, or not known to be."""
        return np.where(self.today == 1, self.ends[:, 1], np.nan)


def ends_of(churn: Floats, principal: Floats) -> Floats:
    """Return the probabilities of the three ends, float64[n, 3], from churn and principality if they stay.

    >>> ends_of(np.array([0.2]), np.array([0.75])).round(3).tolist()
    [[0.6, 0.2, 0.2]]
    """
    return np.stack([(1 - churn) * principal, (1 - churn) * (1 - principal), churn], axis=1)


def forecast(picture: TwoWay, value: Floats) -> list[dict[str, Any]]:
    """Return the two-way table as plain JSON: a row per state today, with what is expected of each end.

    Args:
        picture: customers of today.
        value: what each is worth per year; NaN where not known.

    Returns:
        `[{"today", "customers", "value", "ends": {end: {"way", "customers", "value", "mean"}}}]`:
        expected customers and their worth, and the mean probability. States without customers are left
        out; `value` is None where no worth is known.
    """
    rows = []
    for state, name in TODAY.items():
        here = picture.today == state
        if not here.any():
            continue
        ends, worth = picture.ends[here], value[here]
        rows.append(
            {
                "today": name,
                "customers": int(here.sum()),
                "value": _total(worth),
                "ends": {
                    end: {
                        "way": WAYS[name][end],
                        "customers": float(ends[:, e].sum()),
                        "value": _total(worth * ends[:, e]),
                        "mean": float(ends[:, e].mean()),
                    }
                    for e, end in enumerate(ENDS)
                },
            }
        )
    return rows


def outturn(picture: TwoWay) -> list[dict[str, Any]]:
    """Return the two-way table of what was expected and what happened, as plain JSON.

    Who leaves is compared on all snapshots whose churn is known. Of those who stayed, the two other ends
    are compared where their main provider later is known (`told`): expected is what was said of them,
    given that they stay. So both columns speak of the same snapshots, however few answer a survey.
    """
    if picture.churned is None or picture.principal is None:
        raise ValueError("nothing has happened yet: give `churned` and `principal`")
    rows = []
    for state, name in TODAY.items():
        known = (picture.today == state) & (picture.churned >= 0)
        if not known.any():
            continue
        stayed = known & (picture.churned == 0)
        told = stayed & (picture.principal >= 0)
        stays = 1 - picture.ends[told, 2]
        if_stays = picture.ends[told, 0] / np.where(stays > 0, stays, 1.0)
        kept = int((picture.principal[told] == 1).sum())
        ends = {
            "principal": (float(if_stays.sum()), kept),
            "secondary": (float((1 - if_stays).sum()), int(told.sum()) - kept),
            "leaves": (float(picture.ends[known, 2].sum()), int((picture.churned[known] == 1).sum())),
        }
        rows.append(
            {
                "today": name,
                "snapshots": int(known.sum()),
                "stayed": int(stayed.sum()),
                "told": int(told.sum()),
                "ends": {
                    end: {"way": WAYS[name][end], "expected": expected, "happened": happened}
                    for end, (expected, happened) in ends.items()
                },
            }
        )
    return rows


def together(pictures: Sequence[TwoWay]) -> TwoWay:
    """Return the pictures of several dates as one."""
    happened = [
        (p.churned, p.principal) for p in pictures if p.churned is not None and p.principal is not None
    ]
    both = len(happened) == len(pictures)
    return TwoWay(
        np.concatenate([p.today for p in pictures]),
        np.concatenate([p.ends for p in pictures]),
        np.concatenate([churned for churned, _ in happened]) if both else None,
        np.concatenate([principal for _, principal in happened]) if both else None,
    )


def drift_moments(
    moments: Floats, drifted: npt.NDArray[np.bool_], keys: Sequence[str]
) -> list[dict[str, Any]]:
    """Rank the moments of truth by how much lower they put those who drifted than those who did not.

    Args:
        moments: contributions by moment to the principality score, float64[n_snapshots, n_moments], of
            customers whose main provider we were and who stayed.
        drifted: who has another main provider later.
        keys: the moments' keys.

    Returns:
        Plain JSON: `[{"moment", "drifted", "stayed", "difference"}]`, means in log-odds; a moment is
        there when it is lower among those who drifted. Associated with drift, not its proven cause.
    """
    if not drifted.any() or drifted.all():
        return []
    low, usual = moments[drifted].mean(axis=0), moments[~drifted].mean(axis=0)
    difference = low - usual
    order = np.argsort(difference, kind="stable")[:SHOWN_MOMENTS]
    return [
        {
            "moment": keys[i],
            "drifted": float(low[i]),
            "stayed": float(usual[i]),
            "difference": float(difference[i]),
        }
        for i in order
        if difference[i] < 0
    ]


def _total(values: Floats) -> float | None:
    return None if np.isnan(values).all() else float(np.nansum(values))
