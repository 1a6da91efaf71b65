"""The proxies' configurations, before a real service; left out where the proxy is not installed."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
from importlib.resources import files

import httpx
import pytest

from tests.test_serving.calls import HEADERS, body, customer, saved_bundle
from tests.test_serving.servers import environment, free_port, running

pytestmark = pytest.mark.slow
PROXIES = {
    "nginx": ("nginx.conf", ["nginx", "-g", "daemon off;", "-p", ".", "-c", "nginx.conf"]),
    "haproxy": ("haproxy.cfg", ["haproxy", "-db", "-f", "haproxy.cfg"]),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    saved_bundle(folder / "bundle")
    port = free_port()
    code = "from serving.launch import serve; from pathlib import Path; "
    code += f"serve(bundle=Path({str(folder / 'bundle')!r}), port={port})"
    with running([sys.executable, "-c", code], port, folder, environment(folder / "home")) as started:
        yield started


@pytest.fixture(params=PROXIES)
def proxy(request, service, tmp_path):
    """Start a proxy before the service and return its port."""
    name, command = PROXIES[request.param]
    if shutil.which(command[0]) is None or shutil.which("openssl") is None:
        pytest.skip(f"{command[0]} or openssl is not installed: programs of the system, which CI brings")
    port = free_port()
    text = files("serving").joinpath("deploy", name).read_text()
    (tmp_path / name).write_text(text.replace("8443", str(port)).replace("3000", str(service.port)))
    key, certificate = tmp_path / "corredor.key", tmp_path / "corredor.crt"
    subject = ["-subj", "/CN=localhost", "-days", "2"]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    (tmp_path / "corredor.pem").write_text(certificate.read_text() + key.read_text())
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"https://127.0.0.1:{port}/readyz", verify=False).status_code == 200:
                    break
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_a_proxy_lets_through_what_may_pass_and_cuts_off_who_dribbles(proxy):
    context = ssl._create_unverified_context()
    with httpx.Client(
        base_url=f"https://127.0.0.1:{proxy}", verify=context, headers=HEADERS, timeout=60
    ) as client:
        answer = client.post("/score", content=body(customer("customer-0003")))
        assert answer.status_code == 200
        assert "churn_probability" in answer.json()["customers"][0]
        assert client.post("/score", content=b"{}", headers={"Authorization": "Bearer x"}).status_code == 401
        assert client.post("/score", content=b" " * (2**23 + 1)).status_code == 413
        for path in ("/metrics", "/livez", "/", "/schema.json"):
            assert client.get(path).status_code == 404, path
    with (
        socket.create_connection(("127.0.0.1", proxy), timeout=60) as plain,
        context.wrap_socket(plain) as line,
    ):
        line.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        answer = line.recv(4096)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 30
