import os
import subprocess
import sys

import pytest

from serving import cli
from training.config import load_config

CORREDOR = [sys.executable, "-c", "from serving.cli import main; main()"]


@pytest.fixture
def corredor(monkeypatch, capsys, tmp_path):
    """Run a command in this process, in an empty folder; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["corredor", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def test_init_writes_a_configuration_that_is_valid_and_says_what_is_next(corredor, tmp_path):
    code, out, _ = corredor("init", "shop")
    assert code == 0
    assert "corredor check -c shop/corredor.toml" in out
    assert load_config(tmp_path / "shop/corredor.toml").project.name == "my-company"


def test_init_never_overwrites(corredor, tmp_path):
    (tmp_path / "corredor.toml").write_text("mine")
    code, _, err = corredor("init")
    assert code == 1
    assert "is there already" in err
    assert (tmp_path / "corredor.toml").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("features",),
        ("train",),
        ("backtest",),
        ("promote",),
        ("score",),
        ("explain", "7"),
        ("report",),
    ],
    ids=lambda a: a[0],
)
def test_without_a_configuration_every_verb_says_so_in_one_line(corredor, arguments):
    code, out, err = corredor(*arguments)
    assert code == 1
    told = [line for line in err.splitlines() if line.startswith("corredor: ")]
    assert told == ["corredor: corredor.toml: there is no such configuration. Make one with `corredor init`."]
    assert out == ""
    assert "Traceback" not in err


def test_debug_shows_where_it_happened(corredor, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    told = subprocess.run([*CORREDOR, "check", "--debug"], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert "load_config" in told.stderr


def test_a_source_that_is_not_there_is_named_with_its_place(corredor):
    corredor("init")
    code, _, err = corredor("check")
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("corredor: ")
    assert "contacts.csv" in last


def test_an_error_cannot_steer_the_terminal(corredor):
    code, _, err = corredor("check", "-c", "no\x1b[2Jthing.toml")
    assert code == 1
    assert "\x1b" not in err


def test_a_misspelt_verb_gets_a_hint(corredor):
    code, _, err = corredor("scor")
    assert code == 2
    assert "score" in err


def test_a_bad_option_value_is_refused_before_anything_is_read(corredor):
    code, _, err = corredor("score", "--by", "name")
    assert code == 1
    assert "sort by value or by risk" in err


def test_building_features_needs_a_day_and_a_file(corredor):
    code, _, err = corredor("features", "--build")
    assert code == 1
    assert "--as-of DATE and --out FILE.parquet" in err


def test_help_is_there_within_a_second_of_cpu(tmp_path):
    before = os.times()
    subprocess.run([*CORREDOR, "--help"], check=True, capture_output=True, cwd=tmp_path)
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    typer_alone = _cpu("import typer, rich.console")
    assert spent - typer_alone < 1.0


def _cpu(code):
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_help_imports_none_of_the_heavy_packages(tmp_path):
    heavy = [
        "numpy",
        "pandas",
        "pyarrow",
        "mlflow",
        "lightgbm",
        "bentoml",
        "duckdb",
        "numba",
        "sklearn",
        "altair",
    ]
    code = f"import sys, serving.cli; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_an_unexpected_error_is_one_line_too(corredor, monkeypatch):
    def broken(path):
        raise KeyError("a bug\nof two lines")

    monkeypatch.setattr("training.config.load_config", broken)
    monkeypatch.setattr("serving.workspace.load_config", broken)
    code, _, err = corredor("check")
    assert code == 1
    assert err.splitlines()[-1].startswith("corredor: unexpected KeyError: ")


def test_importing_makes_nothing(tmp_path):
    code = "import serving.cli, serving.workspace, serving.batch, serving.report, serving.demo"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
