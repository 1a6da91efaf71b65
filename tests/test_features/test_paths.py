"""Where a contact stands on its customer's way: hand-worked, and against a slow telling of the same."""

import itertools
import json

import numpy as np
import pytest

from features.measures import measure_values
from features.pathfit import LEAST_STEPS, fit_paths
from features.paths import Paths, PathWalk
from features.pathwalk import BY_KIND, STEPS, USUAL_OF, _median
from features.settings import Activity, TouchpointKind
from features.streams import NULL
from features.vocabulary import fit_vocabulary
from tests.companies import ACTIVITY, FIT_BEFORE, UNTIL, company, configuration
from tests.literals import DAY, at, histories, settings
from tests.path_oracle import walked


def reader(stream, low=0, high=None):
    def column(name):
        if name == "below_adequate":
            return measure_values(name, column)
        values = stream.values.get(name)
        high_row = stream.n_rows if high is None else high
        return np.full(high_row - low, NULL) if values is None else values.unpack(low, high)

    return column


def vocabulary_of(history, **kinds):
    config = settings().model_copy(update={"touchpoints": kinds})
    return fit_vocabulary(history, config, Activity())


def told(rows: str, *names: str, of: Paths | None = None, **kinds) -> list[list]:
    """Return the numbers of each row, None where there is none."""
    history = histories(touchpoints=rows)
    stream = history.touchpoints
    paths = of or fit_paths(stream, vocabulary_of(history, **kinds), at("2030-01-01"))
    found = PathWalk(paths, names).run(stream, 0, stream.n_rows, reader(stream))
    return [[None if x == NULL else int(x) for x in found[name]] for name in names]


def days(date: str) -> int:
    return at(date) * 1000 // DAY


def test_a_failure_is_recovered_by_what_goes_well_and_doubled_by_the_same_failure_again():
    failed, again, row, made_up, since = told(
        """
        customer_id  occurred_at  kind      case_id  outcome
        ana          2025-03-01   repair    A        failed
        ana          2025-03-02   recovery  A        failed
        ana          2025-03-05   repair    A        failed
        ana          2025-03-06   recovery  A        done
        ana          2025-03-09   repair    A        failed
        """,
        *("failed", "double", "deviations", "recovered", "unrecovered_since"),
    )
    assert failed == [1, 1, 1, 0, 1]
    assert again == [0, 0, 1, None, 0]
    assert row == [1, 2, 3, None, 1]
    assert made_up == [None, None, None, 1, None]
    assert since == [days("2025-03-01")] * 3 + [None, days("2025-03-09")]


def test_a_failure_in_another_matter_does_not_double_the_first():
    (again,) = told(
        """
        customer_id  occurred_at  kind    case_id  outcome
        ana          2025-03-01   repair  A        failed
        ana          2025-03-05   repair  B        failed
        """,
        "double",
    )
    assert again == [0, 0]


@pytest.mark.parametrize("n", range(1, USUAL_OF + 1))
def test_what_is_usual_is_the_median_in_whatever_order_the_amounts_came(n):
    for order in itertools.permutations((1, 2, 2, 5, 9)[:n]):
        assert _median(
            np.array([*order, *[0] * (USUAL_OF - n)]), n, np.zeros(USUAL_OF, np.int64)
        ) == np.median(order)


def test_an_amount_is_set_against_the_median_of_the_five_of_its_kind_before_it():
    (ratio,) = told(
        """
        customer_id  occurred_at  kind  amount
        ana          2025-01-01   bill  10
        ana          2025-02-01   bill  10
        ana          2025-02-05   gift  999
        ana          2025-03-01   bill  20
        ana          2025-04-01   bill  10
        """,
        "amount_ratio",
    )
    assert ratio == [None, None, None, round(1000 * np.log(2)), 0]


def test_the_person_changes_by_kind_of_contact():
    changed, bond = told(
        """
        customer_id  occurred_at  kind     agent_id
        ana          2025-01-01   meeting  eva
        ana          2025-01-05   call     bo
        ana          2025-02-01   meeting  eva
        ana          2025-03-01   meeting  cy
        """,
        *("agent_changed", "bond_since"),
    )
    assert changed == [None, None, 0, 1]
    assert bond == [days("2025-01-01"), days("2025-01-05"), days("2025-01-01"), days("2025-03-01")]


def test_the_team_changes_by_kind_of_contact_whoever_of_it_serves():
    changed, bond, person = told(
        """
        customer_id  occurred_at  kind     agent_id  team
        ana          2025-01-01   meeting  eva       north
        ana          2025-01-05   call     bo        south
        ana          2025-02-01   meeting  cy        north
        ana          2025-02-10   meeting  di        -
        ana          2025-03-01   meeting  cy        south
        """,
        *("team_changed", "team_since", "agent_changed"),
    )
    assert changed == [None, None, 0, None, 1]
    assert bond == [days("2025-01-01"), days("2025-01-05"), days("2025-01-01"), None, days("2025-03-01")]
    assert person == [None, None, 1, 1, 1]


def test_a_matter_that_is_told_to_be_open_waits_until_it_ends_and_its_time_is_the_deadline():
    rows = """
        customer_id  occurred_at  kind    case_id  outcome
        ana          2025-03-01   claim   A        open
        ana          2025-03-04   call    -        done
        ana          2025-03-20   answer  A        done
        ana          2025-04-01   claim   B        open
        ana          2025-04-02   answer  B        done
    """
    names = ("open_matters", "opened@claim", "overdue@claim", "passed@claim")
    number, opened, overdue, passed = told(rows, *names, claim=TouchpointKind(deadline_days=7))
    assert number == [1, 1, 0, 1, 0]
    assert opened == [days("2025-03-01")] * 2 + [None, days("2025-04-01"), None]
    assert overdue == [days("2025-03-08")] * 2 + [None, days("2025-04-08"), None]
    assert passed == [None, None] + [days("2025-03-08")] * 3, "the second was answered in time"


def test_a_step_is_late_when_it_took_longer_than_nine_in_ten_did():
    rows = ["customer_id  occurred_at  kind  case_id"]
    for i in range(LEAST_STEPS + 10):
        rows += [f"c{i:03d}  2025-01-01  order  A", f"c{i:03d}  2025-01-{2 + (i >= 38) * 9:02d}  delivery  A"]
    days_, late = told("\n".join(rows), "step_days", "step_late")
    assert days_[1] == 1_000 and days_[-1] == 10_000
    assert late[1::2] == [0] * 38 + [1, 1]


def test_an_agent_is_judged_by_the_answers_of_others():
    rows = ["customer_id  occurred_at  kind  agent_id  perceived"]
    rows += [f"c{i}  2025-01-01  call  good  9" for i in range(6)]
    rows += [f"d{i}  2025-01-01  call  poor  3" for i in range(6)]
    rows += ["zoe  2025-01-01  call  good  0"]
    history = histories(touchpoints="\n".join(rows))
    paths = fit_paths(history.touchpoints, vocabulary_of(history), at("2030-01-01"))
    assert paths.answer_mean[0] == round(100 * 72 / 13)
    (quality,) = told("\n".join(rows), "agent_quality", of=paths)
    prior = paths.people["agent_id"].prior
    others = 6 * (900 - paths.answer_mean[0])
    assert quality[-1] == round(10 * others / (6 + prior)), "zoe's own bad answer does not count"
    assert quality[0] == round(10 * (others - 554 + 0 - (900 - 554)) / (6 + prior))
    assert quality[0] < quality[-1] and quality[6] < 0


def test_what_is_fitted_knows_nothing_of_later_and_survives_the_bundle():
    tables = company(4)
    from features.histories import build_histories

    whole = build_histories(tables)
    vocabulary = fit_vocabulary(whole, configuration(), ACTIVITY)
    paths = fit_paths(whole.touchpoints, vocabulary, FIT_BEFORE)
    assert paths == fit_paths(whole.known_before(FIT_BEFORE).touchpoints, vocabulary, FIT_BEFORE)
    assert paths == Paths.from_dict(json.loads(json.dumps(paths.to_dict())))
    assert paths != fit_paths(whole.touchpoints, vocabulary, UNTIL)


@pytest.mark.parametrize("seed", range(6))
def test_every_number_is_that_of_the_slow_telling(seed):
    from features.histories import build_histories

    history = build_histories(company(seed, customers=30))
    stream = history.touchpoints
    paths = fit_paths(stream, fit_vocabulary(history, configuration(), ACTIVITY), FIT_BEFORE)
    names = [*STEPS, *(f"{what}@{kind}" for what in BY_KIND for kind in ("claim", "call", "purchase"))]
    column = reader(stream)
    fast = PathWalk(paths, names).run(stream, 0, stream.n_rows, column)
    columns = {c: column(c) for c in ("amount", "below_adequate", "perceived", "satisfaction")}
    slow = walked(paths, stream, columns, names)
    for name in names:
        assert [None if x == NULL else int(x) for x in fast[name]] == slow[name], name
        assert sum(x is not None for x in slow[name]) > 0 or name.startswith(("passed@", "overdue@")), name
    middle = int(np.searchsorted(stream.offsets, stream.n_rows // 2))
    low = int(stream.offsets[middle])
    part = PathWalk(paths, names).run(stream, low, stream.n_rows, reader(stream, low, stream.n_rows))
    assert all((part[name] == fast[name][low:]).all() for name in names), "a chunk agrees with the whole"
