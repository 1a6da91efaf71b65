"""The scoring service in this process, with a model of the simulated shop."""

import asyncio
import gc
import json
import logging

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import CorredorError
from serving.answers import WARNINGS, iso
from serving.service import CorredorService
from tests.test_serving.calls import HEADERS, KEY, body, customer, saved_bundle, shop, touchpoints
from tests.test_training.shop import AS_OF, DAY, to_histories
from training.scoring import score

NAMES = [f"customer-{i:04d}" for i in range(300)]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Ask the service as it starts in a worker: `ask(method, path, …)`."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    bundle = saved_bundle(folder)
    environment = pytest.MonkeyPatch()
    environment.setenv("CORREDOR_BUNDLE", str(folder))
    environment.setenv("CORREDOR_BUNDLE_VERIFIED", bundle.id)
    environment.setenv("CORREDOR_API_KEYS", KEY)
    environment.setenv("CORREDOR_MAX_CUSTOMERS", "300")
    environment.setenv("BENTOML_HOME", str(tmp_path_factory.mktemp("bentoml")))
    loop = asyncio.new_event_loop()
    app = CorredorService.to_asgi()
    lifespan = app.router.lifespan_context(app)
    loop.run_until_complete(lifespan.__aenter__())
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")

    def ask(method, path, *, headers=None, **rest):
        return loop.run_until_complete(client.request(method, path, headers=headers or HEADERS, **rest))

    ask.bundle, ask.loop, ask.client = bundle, loop, client
    yield ask
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(lifespan.__aexit__(None, None, None))
    loop.close()
    environment.undo()
    gc.unfreeze()


def scored(service, *customers, path="/score", **changes):
    answer = service("POST", path, content=body(*customers, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()["customers"]


def batch():
    return score(shop().bundle, shop().histories, AS_OF)


def test_a_customer_is_scored_with_reasons_evidence_and_version(service):
    (found,) = scored(service, customer("customer-0003"), reasons=2)
    assert found["customer_id"] == "customer-0003"
    assert found["as_of"] == iso(AS_OF)
    assert 0 < found["churn_probability"] < 1
    assert 0 < found["principality_probability"] < 1
    assert found["risk_band"] in ("low", "elevated", "high")
    assert found["model_version"] == service.bundle.version
    assert found["warnings"] == []
    assert len(found["reasons"]) == 2
    for reason in found["reasons"]:
        assert reason["direction"] == ("raises" if reason["contribution"] > 0 else "lowers")
        assert reason["sentence"]
        assert 0 < reason["risk_without"] < 1
        assert len(reason["evidence"]) <= 1
        for evidence in reason["evidence"]:
            assert evidence["contribution"] * reason["contribution"] > 0


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_replay_of_the_batch_returns_its_probabilities_bit_for_bit(service, size):
    expected = batch()
    names = shop().histories.customer_ids.to_pylist()
    chosen = names[:60] if size == 1 else names
    found = {}
    for low in range(0, len(chosen), size):
        for answer in scored(service, *map(customer, chosen[low : low + size]), reasons=0):
            found[answer["customer_id"]] = answer
    for i, name in enumerate(chosen):
        assert found[name]["churn_probability"] == expected.churn_probability[i], name
        assert found[name]["principality_probability"] == expected.principality_probability[i], name


def test_the_order_of_rows_and_the_reasons_asked_change_no_bit(service):
    rows = touchpoints()["customer-0007"]
    (plain,) = scored(service, customer("customer-0007"), reasons=0)
    (turned,) = scored(service, customer("customer-0007", touchpoints=rows[::-1]), reasons=3)
    (twice,) = scored(service, customer("customer-0007", touchpoints=rows + rows), reasons=0)
    assert plain["churn_probability"] == turned["churn_probability"] == twice["churn_probability"]
    assert [w["code"] for w in twice["warnings"]] == ["duplicates"]
    assert "reasons" not in plain


def test_what_is_not_known_before_as_of_does_not_count_and_is_told(service):
    name = "customer-0007"
    (now,) = scored(service, customer(name), reasons=0)
    at, after = iso(AS_OF), iso(AS_OF + 3 * DAY)
    later = [
        {"occurred_at": at, "kind": "complaint"},
        {"occurred_at": after, "kind": "complaint", "amount": 5.0},
        {"occurred_at": iso(AS_OF - DAY), "recorded_at": at, "kind": "complaint"},
    ]
    (same,) = scored(service, customer(name, touchpoints=touchpoints()[name] + later), reasons=0)
    assert same["churn_probability"] == now["churn_probability"]
    (warning,) = same["warnings"]
    given = [r for r in shop().rows if r["customer_id"] == name and r["occurred_at"] >= AS_OF]
    assert (warning["code"], warning["count"]) == ("not_yet_known", 3 + len(given))


def test_the_same_customer_may_be_asked_about_at_two_moments(service):
    earlier = AS_OF - 60 * DAY
    one, two = scored(
        service, customer("customer-0007"), customer("customer-0007", as_of=iso(earlier)), reasons=0
    )
    place = shop().histories.position(["customer-0007"])
    assert one["churn_probability"] == batch().churn_probability[place[0]]
    before = score(shop().bundle, shop().histories, earlier, place)
    assert two["churn_probability"] == before.churn_probability[0]


def test_a_customer_who_cannot_be_scored_has_an_error_beside_the_scores_of_the_others(service):
    bad = {"customer_id": "x", "touchpoints": [{"occurred_at": "not-a-time", "kind": "purchase"}]}
    worse = {"customer_id": "y", "touchpoints": [{"kind": "purchase", "amount": "12"}]}
    first, second, third = scored(service, bad, customer("customer-0003"), worse)
    assert first == {
        "customer_id": "x",
        "error": {
            "detail": "This customer cannot be scored.",
            "errors": [
                {
                    "path": "customers[0].touchpoints[0].occurred_at",
                    "code": "time",
                    "message": first["error"]["errors"][0]["message"],
                }
            ],
        },
    }
    assert "churn_probability" in second
    assert [e["path"] for e in third["error"]["errors"]] == [
        "customers[2].touchpoints[0].occurred_at",
        "customers[2].touchpoints[0].amount",
    ]


def test_when_nobody_can_be_scored_the_call_is_refused(service):
    answer = service("POST", "/score", content=body({"customer_id": "x", "touchpoints": [{"kind": "a"}]}))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [e["path"] for e in answer.json()["errors"]] == ["customers[0].touchpoints[0].occurred_at"]


def test_warnings_tell_on_how_little_a_score_rests(service):
    stranger = {"customer_id": "s", "as_of": iso(AS_OF), "touchpoints": []}
    rows = [{"occurred_at": iso(AS_OF - DAY), "kind": "séance"}]
    odd = {**stranger, "touchpoints": rows, "attributes": {"colour": "red"}}
    first, second = scored(service, stranger, odd, language="es")
    assert [w["code"] for w in first["warnings"]] == ["no_history"]
    assert [w["code"] for w in second["warnings"]] == ["short_history", "unseen_kinds", "unused_attributes"]
    assert "séance" in second["warnings"][1]["message"]
    assert "colour" in second["warnings"][2]["message"]
    assert all(len(texts) == 2 for texts in WARNINGS.values())


def test_an_explanation_adds_up_to_the_score(service):
    (found,) = scored(service, customer("customer-0003"), path="/explain", evidence=0)
    assert len(found["reasons"]) == len(service.bundle.moment_keys)
    total = found["base"] + sum(reason["contribution"] for reason in found["reasons"])
    assert total == pytest.approx(found["raw_score"], abs=1e-9)
    (plain,) = scored(service, customer("customer-0003"), reasons=0)
    assert plain["churn_probability"] == found["churn_probability"]


def test_sentences_come_in_both_languages(service):
    (english,) = scored(service, customer("customer-0003"), language="en", reasons=3)
    (spanish,) = scored(service, customer("customer-0003"), language="es", reasons=3)
    assert [r["moment"] for r in english["reasons"]] == [r["moment"] for r in spanish["reasons"]]
    assert english["reasons"][0]["sentence"] != spanish["reasons"][0]["sentence"]
    assert "compra" in json.dumps(spanish, ensure_ascii=False)


def test_small_and_large_calls_may_come_at_once(service):
    large = body(*(customer(name) for name in NAMES[:40] if name in touchpoints()), reasons=1)
    small = body(customer("customer-0003"), reasons=0)

    async def crowd():
        calls = [service.client.post("/score", content=c, headers=HEADERS) for c in [large, small] * 4]
        return await asyncio.gather(*calls)

    answers = service.loop.run_until_complete(crowd())
    assert len({answer.text for answer in answers[::2]}) == 1
    assert len({answer.text for answer in answers[1::2]}) == 1
    assert all(answer.status_code == 200 for answer in answers)


def test_only_our_own_pages_are_open(service):
    anonymous = {"Accept": "*/*"}
    assert service("GET", "/livez", headers=anonymous).status_code == 200
    assert service("GET", "/readyz", headers=anonymous).status_code == 200
    for path in ("/", "/schema.json", "/docs.json", "/metrics", "/static_content/swagger-ui.css", "/healthz"):
        assert service("GET", path, headers=anonymous).status_code in (401, 404), path
    for path in ("/", "/schema.json", "/static_content/swagger-ui.css", "/healthz"):
        assert service("GET", path).status_code == 404, path
    assert (
        service("POST", "/score", headers={"Content-Type": "application/json"}, content=b"{}").status_code
        == 401
    )


def test_metrics_count_answers_and_customers(service):
    text = service("GET", "/metrics").text
    for name in (
        "corredor_requests_total",
        "corredor_customers_scored_total",
        "corredor_request_seconds_bucket",
    ):
        assert name in text
    assert f'corredor_model{{version="{service.bundle.version}"}} 1.0' in text
    assert "customer-0" not in text


def test_values_reach_neither_the_answer_nor_the_log(service, caplog):
    secret = "Ana-600123456"
    with caplog.at_level(logging.DEBUG):
        answers = [
            service(
                "POST", "/score", content=body({"customer_id": secret, "touchpoints": [{"kind": secret}]})
            ),
            service("POST", "/score", content=body(customer("customer-0003"), language=secret)),
            service("POST", "/score", content=f'{{"customers": "{secret}'.encode()),
            service("POST", "/score", content=body(customer("customer-0003", as_of=secret))),
        ]
    assert [answer.status_code for answer in answers] == [422, 422, 400, 422]
    assert all(secret not in answer.text for answer in answers)
    assert secret not in caplog.text


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_comes_the_service_answers(service, data):
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    row = {"occurred_at": "2021-03-04", "kind": "purchase"}
    row |= data.draw(st.dictionaries(st.sampled_from(["kind", "amount", "item", "occurred_at", "x"]), values))
    answer = service("POST", "/score", content=body({"customer_id": "1", "touchpoints": [row]}))
    assert answer.status_code in (200, 422) or b"Infinity" in answer.request.content
    assert answer.headers["content-type"] in ("application/json", "application/problem+json")


def test_the_document_describes_what_is_answered(service):
    from jsonschema import Draft202012Validator

    document = service("GET", "/docs.json").json()
    assert document["openapi"].startswith("3.1")

    def check(name, answer):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(answer)

    bad = {"customer_id": "x", "touchpoints": [{"kind": "a"}]}
    request = json.loads(body(customer("customer-0003")))
    check("ScoreRequest", request)
    check("ScoreAnswer", service("POST", "/score", content=body(customer("customer-0003"), bad)).json())
    check("ScoreAnswer", service("POST", "/explain", content=body(customer("customer-0003"))).json())
    check("ProblemAnswer", service("POST", "/score", content=body(bad)).json())
    with pytest.raises(Exception, match="Additional properties"):
        check("ScoreRequest", {**request, "extra": 1})


def test_a_touchpoint_that_is_recorded_late_counts_from_then(service):
    rows = [*shop().rows]
    late = {"customer_id": "customer-0003", "occurred_at": AS_OF - 20 * DAY, "kind": "complaint"}
    histories = to_histories([*rows, {**late, "recorded_at": AS_OF - 10 * DAY}])
    place = histories.position(["customer-0003"])
    sent = {
        "occurred_at": iso(AS_OF - 20 * DAY),
        "recorded_at": iso(AS_OF - 10 * DAY),
        "kind": "complaint",
    }
    for as_of in (AS_OF - 15 * DAY, AS_OF):
        given = customer(
            "customer-0003", touchpoints=[*touchpoints()["customer-0003"], sent], as_of=iso(as_of)
        )
        (found,) = scored(service, given, reasons=0)
        expected = score(shop().bundle, histories, as_of, np.asarray(place))
        assert found["churn_probability"] == expected.churn_probability[0]


def test_without_a_key_the_worker_does_not_start(monkeypatch, tmp_path):
    monkeypatch.delenv("CORREDOR_API_KEYS", raising=False)
    with pytest.raises(CorredorError, match="no API key"):
        CorredorService()
    with pytest.raises(Exception, match="no API key"):
        CorredorService.inner.check()
