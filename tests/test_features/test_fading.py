"""Where decayed sums are kept."""

import numpy as np

from features.fading import fading_of, powers_of

ALL, BUYS = frozenset([("any", True)]), frozenset([("kind", "purchase")])
DAYS = (7.0, 15.0, 30.0, 60.0, 120.0)


def test_half_lives_of_one_measure_stand_side_by_side_in_fours():
    fading = fading_of([(ALL, "amount", days) for days in DAYS])
    assert fading.half_lives == list(DAYS)
    assert fading.fours == {(ALL, "amount"): [(0, 0)]}
    assert [fading.place[ALL, "amount", days] for days in DAYS] == [0, 1, 2, 3, 4]  # the fifth is alone
    assert fading.half.tolist() == [0, 1, 2, 3, 4]


def test_two_of_four_go_together_and_one_goes_alone():
    fades = [*((BUYS, "contacts", days) for days in DAYS[:4]), (ALL, "amount", 60.0), (ALL, "amount", 7.0)]
    fading = fading_of([*fades, (ALL, "wait_minutes", 15.0)])
    assert fading.fours == {(BUYS, "contacts"): [(0, 0)], (ALL, "amount"): [(4, 0)]}
    assert (fading.place[ALL, "amount", 7.0], fading.place[ALL, "amount", 60.0]) == (4, 7)
    assert fading.place[ALL, "wait_minutes", 15.0] == 8
    assert fading.half.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 1]


def test_places_beyond_the_last_half_life_have_one_that_there_is():
    fading = fading_of([(ALL, "amount", 7.0), (ALL, "amount", 30.0)])
    assert fading.fours == {(ALL, "amount"): [(0, 0)]}
    assert fading.half.tolist() == [0, 1, 1, 1]
    powers, growth, reach, half = powers_of(fading)
    assert powers.shape[0] == growth.shape[1] == len(reach) == 2 and half is fading.half
    assert powers[0, 7] == 0.5 and growth[14, 0] == 4.0


def test_nothing_that_fades_has_no_places():
    fading = fading_of([])
    assert fading.place == {} and len(fading.half) == 0
    assert [np.shape(of) for of in powers_of(fading)] == [(0, 4096), (2048, 0), (0,), (0,)]
