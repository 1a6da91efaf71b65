"""What a request costs: `python -m tests.benchmarks.request [FOLDER OF A BUNDLE]`.

Customers of 50 touchpoints each, no two alike, are scored with three reasons: in the process, beside a bare
`Booster.predict` of one row by all boosters of the same model; and over HTTP by 1, 8 and 32 callers,
beside an echo on the same server and beside the same application on a bare ASGI server. All take turns, so
that they meet the same machine; each number is the median of several rounds. Judged is processor time, which
other people's work on the machine disturbs least. Without a folder the model is the shop's of the tests,
by the frozen recipe: two questions of 6 forests of 400 trees.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from serving.answers import iso
from serving.requests import build_call, read_customer
from serving.schema import Reader, ScoreRequest
from serving.scorer import Scorer
from serving.settings import ServingSettings
from tests.benchmarks.callers import ask, processor_seconds
from tests.test_serving.servers import Server, bentoml, environment, free_port, running
from tests.test_training.shop import AS_OF, DAY, START, bought, trained_shop
from training.bundle import Bundle, draw_sample, load_bundle, save_bundle
from training.forest import Predictor
from training.model import Recipe, fit_forest
from training.scoring import score

TOUCHPOINTS, CUSTOMERS, ROUNDS = 50, 256, 300
CALLERS, TIMES, HTTP_ROUNDS, STARTS = (1, 8, 32), 800, 5, 7
BULK = 1000


def frozen_bundle() -> Bundle:
    """Return the shop's bundle with bags of the frozen recipe: 6 forests of 400 trees for each question."""
    shop = trained_shop()
    dates = np.array([START + d * DAY for d in range(150, 331, 30)])
    active = np.stack([bought(shop.histories, d - 60 * DAY, d) for d in dates], axis=1)
    stays = np.stack([bought(shop.histories, d, d + 30 * DAY) for d in dates], axis=1)
    directions = [f.direction for f in shop.bundle.fitted.features]
    forest = fit_forest(shop.X, ~stays[active], recipe=Recipe(min_rows=30), directions=directions)
    predictors = {q: Predictor(forest, p.calibrator) for q, p in shop.bundle.predictors.items()}
    return replace(shop.bundle, predictors=predictors, sample=draw_sample(shop.X, predictors))


def calls() -> list[dict]:
    """Return a body for each of some customers, 50 touchpoints each, no two of them alike."""
    random = np.random.default_rng(0)
    bodies = []
    for c in range(CUSTOMERS):
        days = np.sort(random.uniform(0, 350, TOUCHPOINTS))
        rows = [
            {
                "occurred_at": iso(START + int(day * DAY)),
                "kind": str(random.choice(["purchase", "complaint"], p=[0.9, 0.1])),
                "channel": str(random.choice(["store", "web", "phone"])),
                "item": f"item {random.integers(6)}",
                "amount": round(float(random.gamma(2, 20)), 2),
            }
            for day in days
        ]
        customer = {"customer_id": f"customer-{c}", "as_of": iso(AS_OF), "touchpoints": rows}
        bodies.append({"customers": [customer]})
    return bodies


def encoded(bodies: list[dict], **asked: int) -> list[bytes]:
    return [json.dumps({**body, **asked}).encode() for body in bodies]


# ruff: noqa: B023 - every lambda is called at once
def in_process(bundle: Bundle, bodies: list[dict]) -> dict[str, list[float]]:
    """Return the processor seconds of a bare prediction, of whole requests, and of the steps of one."""
    settings = ServingSettings()
    scorer, reader = Scorer(bundle, settings), Reader(ScoreRequest, settings)
    scorer.warm()
    vocabulary, zone = bundle.fitted.context.vocabulary, bundle.config.project.zone
    boosters = [b for p in bundle.predictors.values() for b in p.forest.boosters]
    X = np.ascontiguousarray(bundle.sample.X[:1])
    asked = {
        "request, no reasons": encoded(bodies, reasons=0),
        "request, 3 reasons": encoded(bodies, reasons=3, evidence=0),
        "request, 3 reasons and evidence": encoded(bodies, reasons=3, evidence=1),
    }
    steps: dict[str, list[float]] = {}

    def note(name: str, function: Callable[[], object]) -> object:
        began = time.process_time()
        found = function()
        steps.setdefault(name, []).append(time.process_time() - began)
        return found

    for some in asked.values():
        for body in some[:40]:
            scorer.score(body)
    for i in range(ROUNDS):
        note("Booster.predict", lambda: [b.predict(X, raw_score=True, num_threads=1) for b in boosters])
        for name, some in asked.items():
            note(name, lambda: scorer.score(some[i % len(some)]))
        body = asked["request, 3 reasons"][i % len(bodies)]
        call = note("  read the body: msgspec", lambda: reader.read(body))
        note("  (pydantic, which tells errors)", lambda: reader._whole.validate_json(body))
        reading = note("  to columns", lambda: read_customer(call.customers[0], vocabulary, zone, AS_OF))
        histories = note("  to histories", lambda: build_call([reading]))
        note("  features", lambda: bundle.fitted.snapshots(histories, [AS_OF]))
        note("  score and contributions", lambda: [p.forest.explain(X) for p in bundle.predictors.values()])
        note("  score() in all", lambda: score(bundle, histories, AS_OF, reasons=3))
    customers = [body["customers"][0] for body in bodies]
    many = [customers[i % len(customers)] for i in range(BULK)]
    for name, reasons in (("no reasons", 0), ("3 reasons", 3)):
        bulk = encoded([{"customers": many}], reasons=reasons, evidence=0)[0]
        scorer.score(bulk)
        for _ in range(5):
            note(f"bulk of {BULK}, {name}, a customer", lambda: scorer.score(bulk))
        of = steps[f"bulk of {BULK}, {name}, a customer"]
        of[:] = [seconds / BULK for seconds in of]
    return steps


def uvicorn(app: str, port: int) -> list[str]:
    options = ("--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning")
    return [sys.executable, "-m", "uvicorn", app, *options]


def commands(folder: Path) -> dict[str, tuple[list[str], int, Path, dict[str, str]]]:
    """Return how each server is started: command, port, its own folder, environment."""
    ours, bare, echo = free_port(), free_port(), free_port()
    found = {
        "ours": (bentoml("serve", "serving.service:CorredorService", "--port", str(ours)), ours),
        "bare": (uvicorn("tests.benchmarks.bare_service:app", bare), bare),
        "echo": (bentoml("serve", "tests.benchmarks.echo_service:Echo", "--port", str(echo)), echo),
    }
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with_home = {}
    for name, (command, port) in found.items():
        home = Path(tempfile.mkdtemp(dir=folder, prefix=name))
        env = environment(home, CORREDOR_BUNDLE=str(folder / "bundle"), PYTHONPATH=path)
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as where they are installed
        with_home[name] = command, port, home, env
    return with_home


def over_http(folder: Path, bodies: list[dict]) -> None:
    """Print waits and processor time by server and number of callers."""
    single = encoded(bodies, reasons=3, evidence=0)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(running(*how)) for name, how in commands(folder).items()}
        targets: dict[str, tuple[Server, str]] = {
            "/score (BentoML, as shipped)": (servers["ours"], "/score"),
            "/score (the same on bare uvicorn)": (servers["bare"], "/score"),
            "echo at the door, as we are": (servers["echo"], "/door"),
            "echo mounted in BentoML": (servers["echo"], "/mounted"),
            "echo as a BentoML endpoint": (servers["echo"], "/echo"),
        }
        for callers in CALLERS:
            rounds: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in targets}
            for turn in range(-1, HTTP_ROUNDS):
                for name, (server, path) in targets.items():
                    asked = ask(server, path, single, callers=callers, times=TIMES)
                    p50, p99 = np.quantile(asked.waits, [0.5, 0.99])
                    if turn >= 0:
                        rounds[name].append((p50, p99, asked.processor / TIMES, TIMES / asked.clock))
            print(f"\n{f'{callers} callers' if callers > 1 else '1 caller':<36}", end="")
            print("     p50      p99   CPU/req   req/s/core    req/s")
            found = {
                name: [median(column) for column in zip(*of, strict=True)] for name, of in rounds.items()
            }
            for name, (p50, p99, processor, rate) in found.items():
                print(
                    f"{name:<36}{1e3 * p50:>5.2f} ms{1e3 * p99:>6.2f} ms{1e3 * processor:>7.2f} ms"
                    f"{1 / processor:>13.0f}{rate:>9.0f}"
                )
            shipped, bare, *echoes = (of[2] for of in found.values())
            shares = ", ".join(f"{(shipped - echo) / shipped:.0%}" for echo in echoes)
            print(
                f"our share of the whole beside each echo: {shares} (bar: 25 %); "
                f"BentoML beyond uvicorn: {1e3 * (shipped - bare):.2f} ms a request"
            )
        many = [bodies[i % len(bodies)]["customers"][0] for i in range(BULK)]
        bulk = encoded([{"customers": many}], reasons=3, evidence=0)
        asks = [ask(servers["ours"], "/score", bulk, callers=1, times=1) for _ in range(6)][1:]
        clock, processor = (median(getattr(a, name) for a in asks) for name in ("clock", "processor"))
        print(
            f"\nbulk of {BULK} in one call: {clock:.2f} s, {1e3 * processor / BULK:.2f} ms of CPU a customer"
        )


def cold_start(folder: Path) -> None:
    """Print how long each server takes until it is ready, processes and all."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    for turn in range(-1, STARTS):
        for name, how in commands(folder).items():
            began = time.perf_counter()
            with running(*how) as server:
                ready = time.perf_counter() - began
                if turn >= 0:
                    seconds.setdefault(name, []).append((ready, processor_seconds(server)))
    print(f"\ncold start to ready (median of {STARTS})")
    found = {name: [median(column) for column in zip(*of, strict=True)] for name, of in seconds.items()}
    for name, (ready, processor) in found.items():
        print(f"{name:<36}{ready:>6.2f} s{processor:>8.2f} s of CPU")
    beyond = [ours - echo for ours, echo in zip(found["ours"], found["echo"], strict=True)]
    print(f"ours beyond the echo: {beyond[0]:.2f} s, {beyond[1]:.2f} s of CPU (bar: 3 s)")


def main() -> int:
    bundle = load_bundle(Path(sys.argv[1])) if len(sys.argv) > 1 else frozen_bundle()
    bodies = calls()
    trees = sum(b.num_trees() for p in bundle.predictors.values() for b in p.forest.boosters)
    print(f"{TOUCHPOINTS} touchpoints, {len(bundle.fitted.names)} features, {trees} trees in all")
    steps = in_process(bundle, bodies)
    unit = median(steps["Booster.predict"])
    print(f"\n{'in the process, processor time':<44}   median      p99    ratio")
    for name, values in steps.items():
        p99 = float(np.quantile(values, 0.99))
        print(f"{name:<44}{1e6 * median(values):>6.0f} us{1e6 * p99:>6.0f} us{median(values) / unit:>7.2f}x")
    ratio = median(steps["request, 3 reasons"]) / unit
    print(f"\nscore and reasons: {ratio:.2f} of a bare prediction (bar: 3)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        save_bundle(bundle, folder / "bundle")
        over_http(folder, bodies)
        cold_start(folder)
    return 0 if ratio <= 3 else 1


if __name__ == "__main__":
    sys.exit(main())
