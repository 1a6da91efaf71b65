"""Which names get features of their own, and what is true of a contact."""

import json

import pytest

from features.histories import build_histories
from features.settings import Activity, TouchpointKind, Words
from features.vocabulary import Vocabulary, fit_vocabulary, slug
from tests.literals import histories, settings, table

LOG = """
    customer_id occurred_at  kind      channel  item  outcome  amount  wait_minutes
    ana         2026-03-01   purchase  store    milk  done     3       -
    ana         2026-03-02   purchase  web      tea   -        5       -
    ana         2026-03-03   call      -        -     open     -       -
    bo          2026-03-01   purchase  store    milk  -        4       -
    cy          2026-03-01   mail      post     -     -        -       -
    cy          2026-03-02   call      phone    -     -        -       -
"""
PURCHASES = Activity(("purchase",))


def fit(log=LOG, activity=PURCHASES, *, touchpoints=None, left_out=(), others=None, **features):
    configuration = settings(**features).model_copy(update={"touchpoints": touchpoints or {}})
    return fit_vocabulary(histories(log, **(others or {})), configuration, activity, left_out=left_out)


def tags(vocabulary, kind, channel=None, direct=None, outcome=None, item=None):
    return vocabulary.tags("touchpoints", (kind, channel, direct, outcome, item))


def test_names_are_ranked_by_how_many_customers_have_them_then_by_name():
    vocabulary = fit()
    assert vocabulary.kinds == ("call", "purchase", "mail")
    assert vocabulary.channels == ("store", "phone", "post", "web")
    assert vocabulary.items == ("milk", "tea") and vocabulary.outcomes == ("done", "open")
    assert vocabulary.measures == ("amount",) and vocabulary.amount_kinds == ("purchase",)


def test_rare_names_and_those_beyond_the_limit_fold_into_other():
    vocabulary = fit(min_share=0.5, max_channels=0)
    assert vocabulary.kinds == ("call", "purchase") and vocabulary.channels == ()
    assert ("kind", "other") in tags(vocabulary, "mail")
    assert ("channel", "other") in tags(vocabulary, "mail", "post")
    assert ("kind", "purchase") in tags(vocabulary, "purchase")


def test_a_name_that_was_never_seen_counts_as_other_and_is_told():
    vocabulary = fit()
    new = build_histories(
        {"touchpoints": table("customer_id occurred_at kind channel\nana 2026-03-01 drone air")}
    )
    assert ("kind", "other") in tags(vocabulary, "drone", "air")
    assert vocabulary.unseen(new) == {"kind": ["drone"], "channel": ["air"]}
    assert vocabulary.unseen(histories(LOG)) == {}


def test_a_rare_name_is_not_an_unseen_one():
    assert fit(min_share=0.9).unseen(histories(LOG)) == {}


def test_no_channel_is_no_channel_rather_than_other():
    assert not {t for t in tags(fit(), "call") if t[0] in ("channel", "encounter", "item", "outcome")}


def test_activity_is_the_kinds_named_or_every_direct_contact():
    named, direct = fit(), fit(activity=Activity(), touchpoints={"mail": TouchpointKind(direct=False)})
    active = ("activity", True)
    assert [active in tags(named, k) for k in ("purchase", "call", "mail")] == [True, False, False]
    assert [active in tags(direct, k) for k in ("purchase", "call", "mail")] == [True, True, False]


def test_a_row_may_say_itself_whether_it_was_direct():
    vocabulary = fit(touchpoints={"mail": TouchpointKind(direct=False)})
    given = [tags(vocabulary, "mail", direct=d) for d in (None, "true", "false")]
    assert [("direct", True) in t for t in given] == [False, True, False]


def test_what_the_configuration_says_of_a_kind_is_true_of_its_contacts():
    said = TouchpointKind(stage="buy", flow="product", key=True, label=Words(en="basket", es="cesta"))
    vocabulary = fit(touchpoints={"purchase": said})
    assert {("stage", "buy"), ("flow", "product"), ("key", True)} <= tags(vocabulary, "purchase")
    assert vocabulary.facts["purchase"].label_es == "cesta" and vocabulary.facts["call"].label_en == "call"


@pytest.mark.parametrize(
    ("channel", "encounter"),
    [("store", "personal"), ("Oficina 3", "personal"), ("phone", "telephone"), ("web", "remote")],
)
def test_the_encounter_follows_from_the_channel(channel, encounter):
    log = LOG.replace("post ", "phone").replace("store", channel.replace(" ", "_"))
    vocabulary = fit(log)
    assert ("encounter", encounter) in tags(vocabulary, "call", channel.replace(" ", "_"))


def test_attributes_are_levels_or_numbers_and_value_is_neither():
    customers = """
        customer_id segment age value
        ana         gold    30  100
        bo          basic   -   200
        cy          basic   -   -
    """
    vocabulary = fit(others={"customers": customers})
    assert vocabulary.levels == {"segment": ("basic", "gold")} and vocabulary.numbers == ("age",)
    less = fit(others={"customers": customers}, left_out=["segment"])
    assert less.levels == {} and less.numbers == ("age",)


def test_a_column_without_any_value_is_no_attribute():
    assert fit(others={"customers": "customer_id age city\nana - -"}).numbers == ()


def test_it_reads_again_what_it_wrote():
    vocabulary = fit(
        others={
            "customers": "customer_id segment\nana gold",
            "treatments": ("customer_id assigned_at action\nana 2026-03-01 gift"),
        }
    )
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary
    assert vocabulary.actions == ("gift",) and vocabulary.streams == (
        "attributes",
        "touchpoints",
        "treatments",
    )


def test_a_slug_is_plain():
    assert [slug(s) for s in ("Fresh Fruit & Veg.", "ñ", "", "A-1")] == [
        "fresh_fruit_veg",
        "unnamed",
        "unnamed",
        "a_1",
    ]
