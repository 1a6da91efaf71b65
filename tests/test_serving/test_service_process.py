"""The scoring service as it really runs: a supervisor, a worker, sockets and signals."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from serving.answers import iso
from tests.test_serving.calls import HEADERS, KEY, body, customer, saved_bundle, shop
from tests.test_serving.servers import bentoml, environment, free_port, running
from tests.test_training.shop import AS_OF
from training.config import load_config
from training.registry import log_training
from training.scoring import score

pytestmark = pytest.mark.slow
SERVE = "from serving.launch import serve; from pathlib import Path; import sys; "


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    saved_bundle(folder / "bundle")
    port = free_port()
    code = SERVE + f"serve(bundle=Path({str(folder / 'bundle')!r}), port={port}, workers=2)"
    env = environment(folder / "home", CORREDOR_MAX_BODY_BYTES="65536", CORREDOR_BODY_SECONDS="2")
    with running([sys.executable, "-c", code], port, folder, env) as started:
        yield started


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, headers=HEADERS, timeout=30) as opened:
        yield opened


def test_a_crm_gets_the_score_of_the_batch(client):
    names = [f"customer-{i:04d}" for i in range(0, 60, 3)]
    expected = score(shop().bundle, shop().histories, AS_OF, shop().histories.position(names))
    for i, name in enumerate(names):
        answer = client.post("/score", content=body(customer(name), reasons=2))
        assert answer.status_code == 200
        assert answer.json()["customers"][0]["churn_probability"] == expected.churn_probability[i]


def test_refusals_keep_their_status_and_the_connection_goes_on(client, server):
    anonymous, text = {"Authorization": "Bearer wrong"}, {"Content-Type": "text/plain"}
    statuses = []
    for _ in range(3):
        statuses.append(client.post("/score", content=b"{}", headers=anonymous).status_code)
        statuses.append(client.post("/score", content=b"{").status_code)
        statuses.append(client.get("/score").status_code)
        statuses.append(client.post("/score", content=b"{}", headers=text).status_code)
        statuses.append(client.get("/nothing").status_code)
        statuses.append(client.post("/score", content=body(customer("customer-0003"))).status_code)
    assert statuses == [401, 400, 405, 415, 404, 200] * 3


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(client):
    large = b'{"customers": "' + b"x" * 200_000 + b'"}'
    assert client.post("/score", content=large).status_code == 413
    assert (
        client.post("/score", content=(large[i : i + 9000] for i in range(0, len(large), 9000))).status_code
        == 413
    )


def test_a_body_that_dribbles_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
        head = f"POST /score HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        began = time.monotonic()
        answer = line.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 15


def test_odd_http_does_not_trouble_it(server, client):
    for text in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
            line.sendall(text)
            line.shutdown(socket.SHUT_WR)
            answer = line.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer
    assert client.get("/readyz").status_code == 200


def test_metrics_add_up_over_workers(client):
    for _ in range(4):
        client.post("/score", content=body(customer("customer-0003"), reasons=0))
    text = client.get("/metrics").text
    counts = [line for line in text.splitlines() if 'path="/score",status="200"' in line]
    assert counts
    assert float(counts[0].rpartition(" ")[2]) >= 4
    assert "bento" not in text


def test_the_log_says_nothing_of_customers(server, client):
    secret = "Ana-600123456"
    client.post("/score", content=body({"customer_id": secret, "touchpoints": [{"kind": secret}]}))
    client.post("/score", content=body(customer("customer-0003", customer_id=secret)))
    log = server.output.read_text()
    assert secret not in log
    assert KEY not in log
    assert "Traceback" not in log
    assert "/score" not in log


def test_it_listens_on_loopback_only(server):
    with socket.socket() as other:
        other.bind(("127.0.0.2", server.port))


def test_sigterm_lets_a_running_request_finish(tmp_path):
    saved_bundle(tmp_path / "bundle")
    port = free_port()
    code = SERVE + f"serve(bundle=Path({str(tmp_path / 'bundle')!r}), port={port})"
    with running([sys.executable, "-c", code], port, tmp_path, environment(tmp_path / "home")) as server:
        names = [f"customer-{i:04d}" for i in range(100)]
        content = body(*map(customer, names), evidence=3)
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        line.putrequest("POST", "/explain")
        for name, value in {**HEADERS, "Content-Length": str(len(content))}.items():
            line.putheader(name, value)
        line.endheaders(content[:-1])
        time.sleep(0.5)  # it is being read: all but its last byte is there
        line.send(content[-1:])
        server.process.send_signal(signal.SIGTERM)
        answer = line.getresponse()
        assert answer.status == 200
        assert len(json.loads(answer.read())["customers"]) == 100
        assert server.process.wait(60) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"CORREDOR_API_KEYS": ""}, "no API key is set"),
        ({"CORREDOR_BUNDLE": "/nowhere"}, "there is no such folder"),
        ({"CORREDOR_BUNDLE": ""}, "no model to serve"),
        ({"CORREDOR_MAX_BODY_BYTES": "x"}, "CORREDOR_MAX_BODY_BYTES"),
    ],
)
def test_bentoml_serve_refuses_to_start_in_words(tmp_path, settings, message):
    saved_bundle(tmp_path / "bundle")
    env = environment(tmp_path / "home", **{"CORREDOR_BUNDLE": str(tmp_path / "bundle"), **settings})
    command = bentoml("serve", "serving.service:CorredorService", "--port", str(free_port()))
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr


def test_a_port_that_is_taken_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code = SERVE + f"serve(port={taken.getsockname()[1]})"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert "in use" in done.stderr
    assert done.returncode == 1


def test_the_answer_names_the_moment_asked_about(client):
    answer = client.post("/score", content=body(customer("customer-0003"), reasons=0)).json()
    assert answer["customers"][0]["as_of"] == iso(AS_OF)


def test_corredor_serve_serves_the_champion_of_a_workspace(tmp_path):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    config = workspace / "corredor.toml"
    config.write_text('[project]\nname = "shop"\n\n[sources]\ntouchpoints = "select 1"\n')
    registered = log_training(shop().bundle, load_config(config))
    port = free_port()
    command = [sys.executable, "-c", "from serving.cli import main; main()", "serve"]
    command += ["-c", "workspace/corredor.toml", "--port", str(port)]
    with running(command, port, tmp_path, environment(tmp_path / "home")) as server:
        asked = body(customer("customer-0003"), reasons=0)
        answer = httpx.post(f"{server.url}/score", headers=HEADERS, content=asked, timeout=30)
        assert answer.json()["model_version"] == registered.bundle_id[:12]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
