"""A Bento carries the service, its code and one model, and needs no workspace."""

import os
import subprocess

import httpx
import pytest

from features.errors import CorredorError
from serving.bento import build_bento
from tests.test_serving.calls import HEADERS, body, customer, saved_bundle, shop
from tests.test_serving.servers import bentoml, environment, free_port, running
from tests.test_training.shop import AS_OF
from training.scoring import score

pytestmark = pytest.mark.slow


def test_a_bento_serves_from_another_folder_without_the_workspace(tmp_path, monkeypatch):
    workspace, elsewhere, home = (tmp_path / name for name in ("workspace", "elsewhere", "home"))
    elsewhere.mkdir()
    bundle = saved_bundle(workspace / "bundle")
    monkeypatch.chdir(workspace)
    tag = build_bento(workspace / "bundle", home=home)
    assert tag.startswith("corredor:")
    workspace.rename(tmp_path / "gone")
    (packed,) = home.glob("bentos/corredor/*/src/serving/bundle")
    assert not list(packed.parents[1].glob("**/*.pyc"))
    described = (packed.parents[2] / "bento.yaml").read_text()
    assert str(tmp_path) not in described
    assert "lightgbm" in described
    assert "://" not in described
    monkeypatch.chdir(elsewhere)
    port = free_port()
    command = bentoml("serve", tag, "--port", str(port))
    with running(command, port, elsewhere, environment(home)) as server:
        answer = httpx.post(
            f"{server.url}/score", headers=HEADERS, content=body(customer("customer-0003")), timeout=60
        )
        (found,) = answer.json()["customers"]
        assert found["model_version"] == bundle.version
        place = shop().histories.position(["customer-0003"])
        expected = score(shop().bundle, shop().histories, AS_OF, place)
        assert found["churn_probability"] == expected.churn_probability[0]
        assert httpx.get(f"{server.url}/schema.json", headers=HEADERS).status_code == 404


def test_what_is_no_bundle_is_not_packed(tmp_path):
    with pytest.raises(CorredorError, match="no such folder"):
        build_bento(tmp_path / "nothing")


def test_the_command_line_says_what_is_wrong(tmp_path):
    command = [*bentoml()[:1], "-m", "serving.bento", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ))
    assert done.returncode == 1
    assert done.stderr.startswith("corredor: ")
