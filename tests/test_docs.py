"""Everything a user types in the README is run or checked; what the README leaves out fails here."""

import ast
import json
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from typer.main import get_command

from features import contacts
from serving.cli import app
from serving.starter import starter
from tests.literals import histories, values
from training.config import Config, load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERBS = get_command(app).commands
COMES_WITH = {
    "pydantic-core": "pydantic",
    "typing-extensions": "pydantic",
    "anyio": "starlette",
    "markupsafe": "jinja2",
    "xgboost": "xgboost-cpu",  # its name where it is not installed
}
"""Hard requirements of a dependency, part of what it offers; or the distribution of a package."""
EVERYWHERE = {"--help", "--config", "--debug"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def typed() -> list[str]:
    """Every command of the README: lines after `$ ` in a console, and inline code."""
    lines = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
    return lines + [
        code for code in re.findall(r"`([^`\n]+)`", prose) if code.startswith(("corredor ", "make "))
    ]


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=! ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("command", [c for c in typed() if c.startswith("corredor ")])
def test_every_command_of_the_readme_is_one_that_the_command_line_understands(command):
    words = shlex.split(re.sub(r"\[(\w+)\]", "", command))[1:]
    verb = VERBS[words[0]]
    if len(words) > 1:  # alone it only names the verb
        verb.make_context(words[0], words[1:])


@pytest.mark.parametrize("command", [c for c in typed() if c.startswith("make ")])
def test_every_make_command_of_the_readme_is_a_target(command):
    target = command.split()[1]
    assert re.search(rf"^{re.escape(target)}:", MAKEFILE, re.M), target


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_readme_and_the_changelog(verb):
    assert f"| `corredor {verb}" in README
    assert f"`{verb}`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("corredor ", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_the_readme_and_has_help(verb):
    for option in VERBS[verb].params:
        assert option.help, f"{verb}: {option.name} has no help"
        long = [name for name in option.opts if name.startswith("--")]
        assert not long or EVERYWHERE & set(long) or any(name in README for name in long), f"{verb} {long}"


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert targets
    for target in targets.group(1).split():
        assert f"make {target} " in listed


def test_ci_runs_the_test_command_of_the_readme():
    development = README.split("## Development")[1]
    command = re.search(r"^\$ (.*)$", development, re.M)
    assert command
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().endswith(f"\n{command.group(1)}")


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_of_the_readme_is_a_valid_one(block, tmp_path):
    path = tmp_path / "corredor.toml"
    path.write_text(block, encoding="utf-8")
    load_config(path)


def test_the_starting_configuration_is_valid_with_and_without_its_examples(tmp_path):
    text = starter()
    every_example = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.M)
    assert every_example != text
    for content in (text, every_example):
        path = tmp_path / "corredor.toml"
        path.write_text(content, encoding="utf-8")
        assert isinstance(load_config(path), Config)


@pytest.mark.parametrize("block", [b for b in blocks("python") if "yield" not in b])
def test_every_piece_of_python_compiles(block):
    compile(block, "README.md", "exec")


def test_the_feature_of_the_readme_is_one_that_the_engine_computes():
    block = next(b for b in blocks("python") if "yield Feature(" in b)
    names = {name: getattr(contacts, name) for name in ("touchpoints", "Feature", "Words", "ACTIVITY")}
    exec("def define():\n" + textwrap.indent(block, "    "), names)  # noqa: S102
    (feature,) = names["define"]()
    history = histories("""
        customer_id occurred_at kind
        ana         2026-03-01  purchase
        ana         2026-03-02  call
        ana         2026-03-03  call
    """)
    assert values(history, "2026-03-10", feature.expression) == [2.0]


@pytest.mark.parametrize("block", blocks("json"))
def test_every_piece_of_json_is_json(block):
    json.loads(block)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(link):
    assert link.startswith("https://") or (ROOT / link).exists()


def test_every_dependency_is_listed_with_its_reason_and_no_other():
    table = README.split("| Depends on | For |")[1].split("\n\n")[0]
    listed = {name.strip() for row in table.splitlines()[2:] for name in row.split("|")[1].split(",")}
    extras = PROJECT["optional-dependencies"]
    needed = {name_of(r) for r in [*PROJECT["dependencies"], *extras["demo"], *extras["spark"]]}
    assert listed == needed


def test_every_tool_of_development_is_named():
    sentence = README.split("The extra `dev` adds ")[1].split(".\n")[0]
    assert set(re.split(r", | and ", sentence.replace("\n", " "))) == {
        name_of(r) for r in PROJECT["optional-dependencies"]["dev"]
    }


def test_what_is_installed_is_pinned_by_hash_and_names_no_address():
    runtime = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["demo"]]
    for file, wanted in {
        "requirements.lock": runtime,
        "requirements-dev.lock": [*runtime, *PROJECT["optional-dependencies"]["dev"]],
    }.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(r"https?:|file:", text)
        pinned = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:", text, re.M)
        assert {name_of(r) for r in wanted} <= set(pinned)
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", text, re.M))


@pytest.mark.parametrize(
    ("packages", "extras"),
    [
        (("features", "training", "serving"), ("demo", "spark")),
        (("tests",), ("demo", "dev", "peers", "spark")),
    ],
    ids=str,
)
def test_every_package_that_is_imported_is_a_declared_dependency(packages, extras):
    extra = [r for name in extras for r in PROJECT["optional-dependencies"][name]]
    declared = {name_of(r) for r in [*PROJECT["dependencies"], *extra]}
    distributions = packages_distributions()
    ours = {"features", "training", "serving", "tests"}
    undeclared = set()
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        for name in imported(path) - set(sys.stdlib_module_names) - ours:
            owners = {name_of(d) for d in distributions.get(name, [name])}
            owners |= {COMES_WITH.get(owner, owner) for owner in owners}
            if not owners & declared:
                undeclared.add(f"{name} in {path.relative_to(ROOT)}")
    assert undeclared == set()


def imported(path: Path) -> set[str]:
    """Return the top names of all that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}
