import numpy as np
import pytest

from features.bgnbd import BgNbd, fit_bgnbd


def buyers(customers: int, seed: int):
    """Days of buying drawn as BG/NBD says: repeats, last repeat, age."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.8, 1 / 20.0, customers)
    leaving = random.beta(0.8, 2.5, customers)
    age = random.uniform(100, 300, customers)
    x, last = np.zeros(customers), np.zeros(customers)
    for i in range(customers):
        t = random.exponential(1 / rate[i])
        while t < age[i]:
            x[i] += 1
            last[i] = t
            if random.random() < leaving[i]:
                break
            t += random.exponential(1 / rate[i])
    return x, last, age


def test_bgnbd_finds_the_parameters_that_made_the_purchases():
    model = fit_bgnbd(*buyers(6_000, 0))
    assert model.r == pytest.approx(0.8, rel=0.15)
    assert model.r / model.alpha == pytest.approx(0.8 / 20, rel=0.15)
    assert model.a / (model.a + model.b) == pytest.approx(0.8 / 3.3, rel=0.15)


def test_bgnbd_probabilities_by_hand():
    """The parameters of CDNOW in weeks, for x = 2, t = 30.43, T = 38.86 (Fader, Hardie and Lee 2005)."""
    model = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
    x, t, age = np.array([2.0]), np.array([30.43]), np.array([38.86])
    odds = 0.793 / 3.426 * ((4.414 + 38.86) / (4.414 + 30.43)) ** 2.243
    assert model.alive(x, t, age)[0] == pytest.approx(1 / (1 + odds))
    never = model.alive(np.array([0.0]), np.array([0.0]), age)
    assert never[0] == 1.0
    waits = ((4.414 + 38.86) / (4.414 + 38.86 + 39)) ** 2.243
    alive = 1 / (1 + odds)
    assert model.none_in(x, t, age, 39)[0] == pytest.approx(1 - alive + alive * waits)


def test_a_longer_wait_without_purchase_is_never_more_likely():
    x, last, age = buyers(500, 1)
    model = BgNbd(r=0.8, alpha=20.0, a=0.8, b=2.5)
    short, long = (model.none_in(x, last, age, days) for days in (60.0, 90.0))
    assert (long <= 1).all() and (short > 0).all()
    assert (long < short).all()
