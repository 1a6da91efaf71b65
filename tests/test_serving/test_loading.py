"""A process that scores imports what it needs and no more: seconds of every start hang on it."""

import json
import subprocess
import sys

import pytest

from tests.test_serving.calls import body, customer, saved_bundle
from tests.test_serving.servers import environment

HEAVY = {
    "altair",
    "cffi.cparser",
    "duckdb",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "pandas",
    "pyspark",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "shap",
    "sklearn",
}
TELL = "import sys; print('\\n' + '\\n'.join(sys.modules))"
OPENS = f"import sys; from training.opening import main; assert main() == 0; {TELL}"
ANSWERS = f"""
import asyncio, sys
from serving.service import CorredorService, house
CorredorService()
for body in sys.argv[1:]:
    for path in ("/score", "/explain"):
        assert b"churn_probability" in asyncio.run(house().desk(path, body.encode())).body
{TELL}
"""


def modules(folder, code, *arguments) -> set[str]:
    env = environment(folder, CORREDOR_BUNDLE=str(folder / "bundle"))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    saved_bundle(made / "bundle")
    return made


def test_a_worker_that_has_answered_has_imported_nothing_that_it_does_not_use(folder):
    plain = body(customer("customer-0003"), evidence=3)
    rich = json.loads(body(customer("customer-0003", attributes={"since": "2019-01-01", "value": 3.0})))
    rich["customers"][0]["relationships"] = [{"product": "card", "started_at": "2019-01-01", "amount": 4.5}]
    found = modules(folder, ANSWERS, plain.decode(), json.dumps(rich))
    assert "numba" in found
    assert not HEAVY & found


def test_the_process_that_opens_a_model_first_imports_even_less(folder):
    found = modules(folder, OPENS, str(folder / "bundle"))
    assert "numba" in found
    assert not (HEAVY | {"bentoml", "starlette", "serving"}) & found
