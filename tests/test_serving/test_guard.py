"""Who may come in, with what; the desk is a plain echo, and BentoML a page that says how it is."""

import asyncio
import hashlib
import json
import logging
from http import HTTPStatus

import httpx
import pytest

from features.errors import CorredorError
from serving.guard import Guard, House, Page, where
from serving.keys import Keys, load_keys, new_key
from serving.metrics import service_metrics
from serving.problems import FieldError, Problem, path_of
from serving.settings import ServingSettings, load_settings

KEY = "a-key-that-is-long-enough-0123456789"
JSON = {"Content-Type": "application/json"}
AUTHORISED = {"Authorization": f"Bearer {KEY}"}


async def echo(path, body):
    if body == b'"fail"':
        raise ValueError("Ana Pérez, 600 123 456")
    return Page(body)


async def health(scope, receive, send):
    assert scope["path"] in ("/livez", "/readyz")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"fine"})


def guarded(desk=echo, **settings):
    keys = load_keys({"CORREDOR_API_KEYS": KEY})
    house = House(ServingSettings(**settings), keys, service_metrics(), desk)
    return Guard(health, lambda: house)


def ask(method="POST", path="/score", *, guard=None, headers=None, **rest):
    async def once():
        transport = httpx.ASGITransport(guard or guarded())
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            given = {**JSON, **AUTHORISED} if headers is None else headers
            return await client.request(method, path, headers=given, **rest)

    return asyncio.run(once())


def test_a_request_with_a_key_and_json_comes_through():
    answer = ask(content=b'{"a": 1}')
    assert answer.status_code == 200
    assert answer.content == b'{"a": 1}'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == "8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key"])
def test_the_key_may_come_in_its_own_header(name):
    assert ask(content=b"{}", headers={**JSON, name: KEY}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"X-API-Key": KEY.upper()},
        {"X-API-Key": KEY, "Authorization": f"Bearer {KEY}"},
        {"X-API-Key": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/score"), ("POST", "/explain"), ("GET", "/metrics")])
def test_without_the_right_key_nobody_comes_in(headers, method, path):
    answer = ask(method, path, content=b"{}" if method == "POST" else None, headers={**JSON, **headers})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_open(path):
    answer = ask("GET", path, headers={})
    assert (answer.status_code, answer.text) == (200, "fine")
    assert answer.headers["cache-control"] == "no-store"


def test_metrics_are_open_only_when_told():
    assert ask("GET", "/metrics", headers={}, guard=guarded(open_metrics=True)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/schema.json",
        "/healthz",
        "/static_content/index.css",
        "/score/",
        "/docs",
        "/score/submit",
        "//score",
    ],
)
def test_nothing_else_exists(path):
    assert ask("GET", path).status_code == 404
    assert ask("POST", path, content=b"{}").status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_another_method_is_told_which_one_is_right(method):
    answer = ask(method, "/score")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/vnd.bentoml+pickle",
        "application/json; charset=latin-1",
        "application/jsonp",
    ],
)
def test_only_json_is_taken(kind):
    assert ask(content=b"{}", headers={**AUTHORISED, "Content-Type": kind}).status_code == 415


def test_no_content_type_is_not_json():
    assert ask(content=b"{}", headers=AUTHORISED).status_code == 415


def test_utf_8_json_in_any_letter_case_is_json():
    kind = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    assert ask(content=b"{}", headers={**AUTHORISED, **kind}).status_code == 200


def test_compressed_bodies_are_refused():
    assert ask(content=b"{}", headers={**JSON, **AUTHORISED, "Content-Encoding": "gzip"}).status_code == 415


def test_a_body_beyond_the_limit_is_refused_by_its_length():
    guard = guarded(max_body_bytes=2048)
    assert ask(content=b"x" * 2048, guard=guard).status_code == 200
    assert ask(content=b"x" * 2049, guard=guard).status_code == 413


def test_a_body_beyond_the_limit_is_refused_though_it_does_not_say_its_length():
    async def chunks():
        for _ in range(100):
            yield b"x" * 100

    answer = ask(content=chunks(), guard=guarded(max_body_bytes=2048))
    assert answer.request.headers.get("content-length") is None
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


def test_a_body_that_dribbles_is_refused():
    sent = []
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive():
        for message in messages:
            return message
        await asyncio.sleep(5)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode()), (b"expect", b"x")]
    scope = {"type": "http", "method": "POST", "path": "/score", "headers": headers}
    asyncio.run(guarded(body_seconds=0.05)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_caller_who_leaves_gets_no_answer_and_does_no_harm():
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/score",
        "headers": [(b"content-type", b"application/json"), (b"x-api-key", KEY.encode())],
    }
    guard = guarded()
    asyncio.run(guard(scope, receive, send))
    assert sent == []
    assert guard.inside == 0


def test_when_too_many_wait_the_next_is_asked_to_come_again():
    gate = asyncio.Event()

    async def slow(path, body):
        await gate.wait()
        return Page(body)

    async def crowd():
        transport = httpx.ASGITransport(guarded(slow, max_waiting=2))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            headers = {**JSON, **AUTHORISED}
            first = [
                asyncio.create_task(client.post("/score", content=b"{}", headers=headers)) for _ in range(2)
            ]
            await asyncio.sleep(0.05)
            third = await client.post("/score", content=b"{}", headers=headers)
            health = asyncio.create_task(client.get("/livez"))
            await asyncio.sleep(0.05)
            gate.set()
            return third, await health, await asyncio.gather(*first)

    third, health, first = asyncio.run(crowd())
    assert third.status_code == 503
    assert third.headers["retry-after"] == "1"
    assert health.status_code == 200
    assert [answer.status_code for answer in first] == [200, 200]


def test_a_failure_says_nothing_of_the_request(caplog):
    with caplog.at_level(logging.DEBUG):
        answer = ask(content=b'"fail"')
    assert answer.status_code == 500
    assert answer.json()["status"] == 500
    assert "Ana" not in answer.text + caplog.text
    assert "ValueError at test_guard.py" in caplog.text


def test_problems_are_rfc_9457_documents():
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    problem = Problem(status, "no", errors=[FieldError(f"customers[{i}]", "missing", "m") for i in range(25)])
    document = json.loads(problem.body())
    assert {"type", "title", "status", "detail", "errors", "more_errors"} == set(document)
    assert len(document["errors"]) == 20
    assert document["more_errors"] == 5


def test_a_long_name_is_cut_in_a_path():
    assert path_of(["customers", 2, "x" * 1000]) == "customers[2]." + "x" * 64 + "…"


def test_where_an_error_happened_does_not_tell_its_words():
    try:
        raise KeyError("secret")
    except KeyError as error:
        assert "secret" not in where(error)
        assert "test_guard.py" in where(error)


def test_websockets_are_closed():
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(guarded()({"type": "websocket", "path": "/score"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_service_needs_a_key():
    with pytest.raises(CorredorError, match="no API key is set"):
        load_keys({})


@pytest.mark.parametrize("bad", ["abc123xyz", "sha256:123", "naïve-but-long-enough-to-be-a-key"])
def test_a_bad_key_is_named_by_its_place_and_never_repeated(bad):
    with pytest.raises(CorredorError, match="number 2") as caught:
        load_keys({"CORREDOR_API_KEYS": f"{KEY}, {bad}"})
    assert bad not in str(caught.value)


def test_keys_may_be_given_hashed_and_are_held_hashed():
    key, hashed = new_key()
    keys = load_keys({"CORREDOR_API_KEYS": f"{hashed}\n{KEY}"})
    assert keys.admit(key.encode())
    assert keys.admit(KEY.encode())
    assert not keys.admit(b"")
    assert key not in repr(keys)
    assert repr(keys) == "Keys(2)"


def test_keys_may_stand_in_a_private_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# the CRM\n{KEY}\n")
    path.chmod(0o600)
    assert load_keys({"CORREDOR_API_KEYS_FILE": str(path)}).admit(KEY.encode())
    path.chmod(0o644)
    with pytest.raises(CorredorError, match="chmod 600"):
        load_keys({"CORREDOR_API_KEYS_FILE": str(path)})


def test_no_keys_admit_nobody():
    assert not Keys(()).admit(b"")


def test_settings_come_from_the_environment_and_name_the_variable_that_is_wrong():
    assert load_settings({"CORREDOR_MAX_BODY_BYTES": "4096", "CORREDOR_BUNDLE": ""}).max_body_bytes == 4096
    with pytest.raises(CorredorError, match="CORREDOR_MAX_BODY_BYTES"):
        load_settings({"CORREDOR_MAX_BODY_BYTES": "much"})


def test_what_was_asked_is_counted_by_known_paths_only():
    from serving.metrics import exposition

    ask("GET", "/a-path-that-somebody-made-up")
    text = exposition()[0].decode()
    assert 'corredor_requests_total{path="other",status="404"}' in text
    assert "made-up" not in text
