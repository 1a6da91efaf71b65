"""Who served a contact, as a person and as a team: what is remembered of it, and how people say it."""

from __future__ import annotations

from typing import NamedTuple

from features.words import Phrase


class Face(NamedTuple):
    """Those who serve, as one column of touchpoints names them."""

    column: str
    changed: str
    """The number of a contact (`features.pathwalk`) that tells whether it was someone else than before."""
    since: str
    """The number that tells since when it is them, in days since 1970."""
    kept: str
    """In the names of features and signals: the share of contacts with the same."""
    change: str
    """… the day of the last change."""
    bond: str
    """… the days since it is the same."""
    plain: Phrase
    the: Phrase
    same: Phrase


AGENT = Face(
    *("agent_id", "agent_changed", "bond_since"),
    *("agent_kept", "days_since_change", "bond_days"),
    Phrase("person", "persona"),
    Phrase("the person", "la persona"),
    Phrase("the same person", "la misma persona"),
)
TEAM = Face(
    *("team", "team_changed", "team_since"),
    *("team_kept", "days_since_team_change", "team_bond_days"),
    Phrase("team", "equipo"),
    Phrase("the team", "el equipo"),
    Phrase("the same team", "el mismo equipo"),
)
FACES = (AGENT, TEAM)
"""A person, and the team or branch that stands behind a person."""
