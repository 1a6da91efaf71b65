"""A simulated company: the same for the same seed, sound by the contract, and true to its own truth."""

import json
from datetime import date

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from features.errors import CorredorError
from features.sources import load_tables
from tests.test_serving.test_cli_workspace import run, run_well
from training.config import load_config
from training.simulate import file_of, simulate
from training.simulation.block import BLOCK, FILES
from training.simulation.company import found_company
from training.simulation.hazard import MOMENTS

CUSTOMERS, MONTHS = 1_000, 14
TOLERANCE = 4.0
"""Standard errors: a true statement fails by chance once in 16,000 seeds; the seeds are fixed."""


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    folder = tmp_path_factory.mktemp("company")
    simulate(folder, CUSTOMERS, months=MONTHS, seed=11)
    return folder


@pytest.fixture(scope="module")
def truth(company):
    return json.loads((company / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    simulate(folder, 30, months=8, seed=5)
    return folder


@pytest.fixture(scope="module")
def ask(company):
    """Answers SQL over the tables by their names, as numpy arrays by column."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name in FILES:
            connection.execute(f"create view {name} as from '{file_of(company, name)}'")
        yield lambda sql: connection.sql(sql).fetchnumpy()


def all_bytes(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(small, tmp_path):
    simulate(tmp_path / "again", 30, months=8, seed=5)
    assert all_bytes(tmp_path / "again") == all_bytes(small)
    simulate(tmp_path / "other", 30, months=8, seed=6)
    touchpoints = file_of(tmp_path / "other", "touchpoints")
    assert touchpoints.read_bytes() != file_of(small, "touchpoints").read_bytes()


def test_a_customer_is_the_same_however_many_others_there_are(small, tmp_path):
    simulate(tmp_path, BLOCK + 10, months=8, seed=5)
    for name in FILES:
        few, many = (pq.read_table(file_of(folder, name)).to_pylist() for folder in (small, tmp_path))
        assert few
        assert [row for row in many if row["customer_id"] < "C0000030"] == few, name
        assert len({row["customer_id"] for row in many if row["customer_id"] >= "C0001000"}) in range(1, 11)


def test_the_contract_takes_every_row_of_every_table(company):
    config = load_config(company / "corredor.toml")
    tables = load_tables(config, company)
    assert set(tables.tables) == {name for name in FILES if not name.startswith("truth_")}
    for name, intake in tables.intake.items():
        assert intake.quarantined == 0, (name, intake.reasons)
        assert intake.kept > 0, name
    kinds = set(tables["touchpoints"]["kind"].to_pylist())
    assert kinds == set(config.touchpoints)
    assert set(tables["touchpoints"]["channel"].to_pylist()) == set(config.channels)


def test_nothing_is_recorded_before_it_happens_or_after_the_last_day(ask, truth):
    for table, moment in {
        "touchpoints": "occurred_at",
        "wallet": "observed_at",
        "switching_costs": "asked_at",
        "treatments": "assigned_at",
        "relationships": "coalesce(ended_at, started_at)",
    }.items():
        found = ask(
            f"select count_if(recorded_at < {moment}) as early, "
            f"count_if(recorded_at::date > date '{truth['last_day']}') as late from {table}"
        )
        assert (found["early"][0], found["late"][0]) == (0, 0), table
    share = ask("select avg((recorded_at > occurred_at + interval 12 hour)::int) as late from touchpoints")
    assert 0.01 < share["late"][0] < 0.1


def test_who_has_left_has_no_later_touchpoint_and_who_has_not_joined_no_earlier_one(ask, truth):
    found = ask(f"""
        with stay as (
            select customer_id, any_value(since) as since, max(ended_at) as left_at
            from customers join relationships using (customer_id)
            where customer_id in (
                select customer_id from truth_customers where left_on::date < date '{truth["last_day"]}' - 8
            ) group by 1
        )
        select count(distinct customer_id) as leavers,
               count_if(occurred_at > left_at) as after, count_if(occurred_at < since) as before
        from stay join touchpoints using (customer_id)
    """)
    assert found["leavers"][0] > 200
    assert (found["after"][0], found["before"][0]) == (0, 0)


def test_every_end_is_known_in_the_end_but_those_of_the_last_days(ask, truth):
    found = ask(f"""
        with last as (
            select customer_id, product, started_at, arg_max(ended_at, recorded_at) as ended_at
            from relationships group by all
        ), open as (select customer_id, bool_or(ended_at is null) as open from last group by 1)
        select count_if(open) as unknown, count(*) as leavers
        from open join truth_customers using (customer_id)
        where left_on::date < date '{truth["last_day"]}' - 8
    """)
    assert found["leavers"][0] > 200
    assert found["unknown"][0] == 0


EXPOSED = {
    "claim_open_too_long": """
        select c.customer_id, c.occurred_at + interval 8 day as moment
        from touchpoints c left join touchpoints a on c.case_id = a.case_id and a.kind = 'claim_answer'
        where c.kind = 'claim' and (a.occurred_at is null or a.wait_minutes > 7 * 1440)
    """,
    "repair_wait_beyond_accepted": """
        select customer_id, occurred_at as moment from touchpoints
        where kind = 'repair' and wait_minutes > 5 * 1440
    """,
    "adviser_changed": """
        select customer_id, moment from (
            select customer_id, occurred_at as moment, agent_id, lag(agent_id) over each_one as before
            from touchpoints where kind = 'adviser_meeting'
            window each_one as (partition by customer_id order by occurred_at)
        ) where agent_id <> before
    """,
    "bill_above_expectation": """
        select customer_id, moment from (
            select customer_id, occurred_at as moment, amount, lag(amount) over each_one as before
            from touchpoints where kind = 'bill'
            window each_one as (partition by customer_id order by occurred_at)
        ) where amount > 1.25 * before
    """,
    "second_failure_not_recovered": """
        select customer_id, moment from (
            select customer_id, case_id, max(occurred_at) filter (kind = 'repair') as moment,
                   count_if(kind = 'repair' and outcome = 'failed') as failures,
                   count_if(kind = 'recovery' and outcome = 'failed') as refused
            from touchpoints where case_id is not null group by 1, 2
        ) where failures >= 2 and refused >= 1
    """,
}


def log_rate_ratio(ask, exposed, days=75):
    """Log of the rate of leaving in the days after an event over that in all other days, and its error."""
    found = ask(f"""
        with stay as (
            select customer_id, greatest(joined_on::date, first) as since,
                   coalesce(left_on::date, last) as until, left_on is not null as left_us
            from truth_customers, (select min(occurred_at)::date as first, max(occurred_at)::date as last
                                   from touchpoints)
        ), exposed as ({exposed}), under as (
            select distinct customer_id,
                   unnest(generate_series(moment::date, moment::date + {days}, interval 1 day))::date as day
            from exposed
        ), mine as (
            select count(*) as days, count_if(day = until and left_us) as leavers
            from under join stay using (customer_id) where day between since and until
        ), everything as (select sum(until - since + 1) as days, count_if(left_us) as leavers from stay)
        select mine.days as mine, mine.leavers as leavers, everything.days - mine.days as others,
               everything.leavers - mine.leavers as others_left from mine, everything
    """)
    mine, leavers, others, others_left = (
        float(found[k][0]) for k in ("mine", "leavers", "others", "others_left")
    )
    return np.log(leavers / mine) - np.log(others_left / others), np.sqrt(1 / leavers + 1 / others_left)


@pytest.mark.parametrize("moment", [moment.key for moment in MOMENTS])
def test_a_planted_moment_of_truth_raises_the_rate_of_leaving_in_the_data(ask, moment):
    effect, error = log_rate_ratio(ask, EXPOSED[moment])
    assert effect > 2.5 * error, (effect, error)
    assert effect < 2.0 + TOLERANCE * error, "more than was planted"


def test_as_many_leave_as_the_oracle_says(ask):
    found = ask("""
        select probability as p, left_on is not null and left_on::date < as_of::date + 60 as left_us
        from truth_states join truth_customers using (customer_id)
        where date_diff('day', (select max(as_of) from truth_states)::date, as_of::date) % 60 = 0
    """)
    p, left = found["p"], found["left_us"]
    forced = len(p) * 60 * 0.0001
    error = np.sqrt((p * (1 - p)).sum() + forced)
    assert len(p) > 1_000
    assert 0.05 < p.mean() < 0.13
    assert abs(left.sum() - p.sum() - forced) < TOLERANCE * error


def test_the_oracle_ranks_well_and_not_perfectly(ask):
    found = ask("""
        select probability as p, (left_on is not null and left_on::date < as_of::date + 60)::int as y
        from truth_states join truth_customers using (customer_id)
    """)
    order = np.argsort(found["p"], kind="stable")
    y = found["y"][order]
    area = (np.flatnonzero(y).sum() - y.sum() * (y.sum() - 1) / 2) / (y.sum() * (len(y) - y.sum()))
    assert 0.72 < area < 0.88


def test_the_satisfied_answer_surveys_more_often(ask):
    found = ask("""
        select any_value(satisfaction_usual) as mood, avg((outcome = 'done')::int) as answered
        from touchpoints join truth_customers using (customer_id) where kind = 'survey' group by customer_id
    """)
    happy = found["mood"] > np.median(found["mood"])
    yes, no = found["answered"][happy], found["answered"][~happy]
    error = np.sqrt(yes.var() / len(yes) + no.var() / len(no))
    assert yes.mean() - no.mean() > TOLERANCE * error
    assert 0.2 < found["answered"].mean() < 0.8


def test_worse_customers_were_called_more_and_a_lot_decides_in_campaigns(ask, truth):
    found = ask("""
        select avg(satisfaction_usual) filter (propensity is null) as called,
               avg(satisfaction_usual) filter (propensity is not null) as drawn,
               stddev(satisfaction_usual) as spread, count_if(propensity is null) as n,
               count_if(propensity is not null) as trial,
               count_if(propensity is not null and arm = 'treated') as treated
        from treatments join truth_customers using (customer_id)
    """)
    assert found["drawn"][0] - found["called"][0] > TOLERANCE * found["spread"][0] / np.sqrt(found["n"][0])
    trial = found["trial"][0]
    assert abs(found["treated"][0] / trial - 0.5) < TOLERANCE * 0.5 / np.sqrt(trial)
    effects = ask("select log_hazard_effect as e, probability_effect as p from truth_treatments")
    assert (effects["e"] > 0.05).mean() > 0.1 and (effects["e"] < -0.05).mean() > 0.1
    for sign in (-1, 1):
        shift = sign * effects["p"][sign * effects["e"] > 0.05]
        assert shift.mean() > TOLERANCE * shift.std() / np.sqrt(len(shift))


def test_the_congested_stretch_is_slower_from_its_date_on(ask, truth):
    since = truth["corridor"]["congested"]["since"]
    found = ask(f"""
        select median(wait_minutes) filter (occurred_at < date '{since}') / 1440 as before,
               median(wait_minutes) filter (occurred_at >= date '{since}' + 14) / 1440 as after
        from touchpoints where kind = 'repair'
    """)
    assert found["after"][0] > 1.6 * found["before"][0]


def test_the_blocked_stretch_is_left_open_from_its_date_on(ask, truth):
    since = truth["corridor"]["blocked"]["since"]
    found = ask(f"""
        select c.occurred_at >= date '{since}' as after, count(*) as n,
               avg((a.occurred_at is null or a.occurred_at > c.occurred_at + interval 14 day)::int) as stuck
        from touchpoints c join truth_customers t using (customer_id)
            left join touchpoints a on a.case_id = c.case_id and a.kind = 'claim_answer'
        where c.kind = 'claim' and c.occurred_at < date '{truth["last_day"]}' - 20
            and (t.left_on is null or t.left_on::date > c.occurred_at::date + 15)
        group by 1 order by 1
    """)
    before, after = found["stuck"]
    error = np.sqrt((found["stuck"] * (1 - found["stuck"]) / found["n"]).sum())
    assert after - before > TOLERANCE * error


def test_the_decoy_goes_with_breakdowns_and_has_no_effect_of_its_own(ask, truth):
    assert truth["decoy"]["effect"] == 0
    assert truth["decoy"]["kind"] not in {kind for moment in MOMENTS for kind in moment.kinds}
    found = ask("""
        select count_if(kind = 'app_error') / count_if(kind = 'bill') as errors,
               count_if(kind = 'repair') / count_if(kind = 'bill') as repairs
        from touchpoints group by customer_id having count_if(kind = 'bill') >= 4
    """)
    n = len(found["errors"])
    assert np.corrcoef(found["errors"], found["repairs"])[0, 1] > TOLERANCE / np.sqrt(n)


def test_staff_who_leave_better_impressions_are_perceived_so(ask, truth):
    found = ask("""
        select agent_id as agent, avg(perceived) as perceived, count(perceived) as n
        from touchpoints where agent_id is not null group by 1 having n >= 15
    """)
    quality = [truth["staff"][name] for name in found["agent"]]
    assert np.corrcoef(quality, found["perceived"])[0, 1] > TOLERANCE / np.sqrt(len(quality))


@pytest.mark.parametrize(
    ("customers", "more", "told"),
    [
        (0, {}, "customers: 0 is not between"),
        (10, {"months": 7}, "months: 7 is not between"),
        (10, {"start": date(2100, 1, 1)}, "end in the future"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path, customers, more, told):
    with pytest.raises(CorredorError, match=told):
        simulate(tmp_path / "new", customers, **more)
    assert not (tmp_path / "new").exists()


def test_months_are_those_of_the_calendar():
    assert found_company(date(2024, 1, 31), 13, 0).days == (date(2025, 2, 28) - date(2024, 1, 31)).days


def test_the_command_writes_a_workspace_that_check_takes_and_keeps_what_is_there(tmp_path):
    asked = ("simulate", "bank", "--customers", "200", "--months", "12", "--seed", "2")
    out = run_well(tmp_path, *asked)
    assert "200 customers" not in out.splitlines()[1]
    assert "truth.json" in out
    found = json.loads(run_well(tmp_path / "bank", "check", "--json"))
    assert found["enough"] is True
    assert found["suspects"] == []
    before = all_bytes(tmp_path / "bank")
    code, _, err = run(tmp_path, *asked)
    assert code == 1
    assert "stays as it is" in err
    assert all_bytes(tmp_path / "bank") == before
    code, _, err = run(tmp_path, "simulate", "other", "--start", "yesterday")
    assert code == 1
    assert "is not a date" in err.splitlines()[-1]
