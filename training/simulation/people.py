"""The customers of a block: what they are, and the state that their days change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr

from training.simulation.company import (
    BURN_IN,
    PRICES,
    PRODUCTS,
    SEATS_PER_TEAM,
    TEAMS,
    Bools,
    Company,
    Floats,
    Ints,
)

SEGMENTS = ("family", "professional", "senior", "young")
N_MOMENTS = 5
NEVER = 10**6
STAGES = ("new", "growing", "settled", "fading")
MONTH = 30.4


@dataclass
class People:
    """Customers, one per place of the last axis of each array. Days are counted as the company does."""

    number: Ints
    joined: Ints
    segment: Ints
    seat: Ints
    # What they are: standard normal unless said otherwise.
    emotional: Floats
    personal: Floats
    learning: Floats
    price: Floats
    """Sensitivity to prices."""
    line: Floats
    """Badness of the line: faults, and errors of the app."""
    frailty: Floats
    content: Floats
    """Satisfaction to which they return, 0 to 10."""
    adequate: Floats
    activity: Floats
    """How much more than usual they use what they have."""
    bill_offset: Ints
    rival: Ints
    # What their days change.
    here: Bools
    satisfaction: Floats
    impact: Floats
    """float64[n_moments, n]: what each moment of truth still adds to the log-hazard."""
    pending: Floats
    """float64[n_moments, n]: what is still to be felt of each."""
    fading: Bools
    wallet: Floats
    """Logit of our share of what they spend."""
    products: Bools
    """bool[n_products, n]"""
    product_since: Ints
    autopay: Bools
    committed_until: Ints
    exit_fee: Floats
    benefit: Floats
    price_paid: Floats
    """Factor on the list price."""
    usual_bill: Floats
    payment_due: Ints
    bond_since: Ints
    visit_due: Ints
    """Day on which a new adviser introduces herself."""
    cases: Ints
    fault_since: Ints
    fault_case: Ints
    repair_due: Ints
    repair_lag: Floats
    repairs_failed: Ints
    recovery_due: Ints
    recovery_failed: Bools
    claim_since: Ints
    claim_case: Ints
    claim_due: Ints
    delivery_due: Ints
    delivery_case: Ints
    activation_due: Ints
    treated_until: Ints
    treated_effect: Floats

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: Ints) -> People:
        """Return a copy of some of them, in any order, any of them several times."""
        return People(**{f.name: np.array(getattr(self, f.name)[..., rows]) for f in fields(self)})

    def stage(self, day: int) -> Ints:
        """Return the stage of each one's life with us, by its number in `STAGES`."""
        tenure = day - self.joined
        stage = np.where(tenure < 90, 0, np.where(tenure < 365, 1, 2))
        return np.where(self.fading & (stage > 0), 3, stage)

    def costs(self, day: int) -> Floats:
        """Return float64[4, n]: emotional, psychological, learning and economic switching costs, 0-100."""
        left = np.maximum(self.committed_until - day, 0) / MONTH
        bond = np.minimum(day - self.bond_since, 730) / 365.0 - 0.8
        economic = 1 - np.exp(-(0.09 * left + self.benefit / 250.0))
        return 100 * np.stack(
            [ndtr(self.emotional), ndtr(0.75 * self.personal + 0.7 * bond), ndtr(self.learning), economic]
        )

    def bill(self) -> Floats:
        """Return what the products held cost a month, before surprises."""
        return PRICES @ self.products * self.price_paid


def draw_people(numbers: Ints, company: Company, rng: np.random.Generator) -> People:
    """Return the customers of a block as they are `BURN_IN` days before the first day, or when they join."""
    n = len(numbers)
    normal = rng.normal(size=(8, n))
    shared = rng.normal(size=n)
    emotional = 0.25 * shared + np.sqrt(1 - 0.25**2) * normal[0]
    personal = 0.2 * shared + np.sqrt(1 - 0.2**2) * normal[1]
    learning, price, line = normal[2], normal[3], normal[4]
    earlier = rng.random(n) < 0.44
    tenure = np.minimum(rng.exponential(900.0, n), 5000).astype(np.int64) + 1
    joined = np.where(earlier, -tenure, (rng.random(n) * company.days).astype(np.int64))
    content = np.clip(6.6 + 0.35 * shared + 1.15 * normal[5], 1.0, 9.6)
    products = rng.random((len(PRODUCTS), n)) < ndtr(
        np.array([[9.0], [0.1], [-0.5], [-0.9]]) + 0.8 * learning
    )
    term = rng.choice([365, 548, 730], n)
    committed = rng.random(n) < np.where(earlier, 0.45, 0.6)
    begins = np.where(earlier, -BURN_IN - (rng.random(n) * term * 0.9).astype(np.int64), joined)
    until = np.where(committed, begins + term, np.minimum(joined, -BURN_IN) - 1)
    tenure_months = np.where(earlier, tenure, 0) / MONTH
    price_paid = np.exp(rng.normal(0.0, 0.08, n))
    nothing = np.full(n, NEVER)

    def never() -> Ints:
        return nothing.copy()

    return People(
        number=numbers,
        joined=joined,
        segment=rng.choice(len(SEGMENTS), n, p=[0.38, 0.22, 0.2, 0.2]),
        seat=rng.integers(len(TEAMS) * SEATS_PER_TEAM, size=n),
        emotional=emotional,
        personal=personal,
        learning=learning,
        price=price,
        line=line,
        frailty=rng.normal(0.0, 0.3, n),
        content=content,
        adequate=np.clip(5.4 + 0.9 * normal[6], 2.0, 8.0),
        activity=np.exp(0.35 * normal[7] + 0.1 * learning),
        bill_offset=rng.integers(30, size=n),
        rival=rng.integers(3, size=n),
        here=joined <= -BURN_IN,
        satisfaction=np.clip(content + rng.normal(0, 0.5, n), 0, 10),
        impact=np.zeros((N_MOMENTS, n)),
        pending=np.zeros((N_MOMENTS, n)),
        fading=earlier & (rng.random(n) < 0.15),
        wallet=0.7 + 1.0 * rng.normal(size=n) + 0.25 * emotional,
        products=products,
        product_since=np.broadcast_to(joined, products.shape).copy(),
        autopay=rng.random(n) < ndtr(0.1 + 0.9 * learning),
        committed_until=until,
        exit_fee=np.where(committed, 30 + 6.0 * term / MONTH, 0.0),
        benefit=np.minimum(rng.gamma(2.0, 0.7, n) * tenure_months, 400.0),
        price_paid=price_paid,
        usual_bill=PRICES @ products * price_paid,
        payment_due=never(),
        bond_since=np.where(earlier, np.maximum(-BURN_IN - rng.integers(700, size=n), joined), joined),
        visit_due=never(),
        cases=np.zeros(n, np.int64),
        fault_since=-never(),
        fault_case=np.zeros(n, np.int64),
        repair_due=never(),
        repair_lag=np.zeros(n),
        repairs_failed=np.zeros(n, np.int64),
        recovery_due=never(),
        recovery_failed=np.zeros(n, np.bool_),
        claim_since=never(),
        claim_case=np.zeros(n, np.int64),
        claim_due=never(),
        delivery_due=never(),
        delivery_case=np.zeros(n, np.int64),
        activation_due=never(),
        treated_until=-never(),
        treated_effect=np.zeros(n),
    )


def customer_id(number: int) -> str:
    """Return the identity of a customer by number."""
    return f"C{number:07d}"


def customer_ids(numbers: Sequence[int] | Ints) -> list[str]:
    """Return the identities of customers by number."""
    return [customer_id(int(number)) for number in numbers]
