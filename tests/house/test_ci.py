"""What CI and the three gears run is held to the letter: whatever runs less is noticed.

One `exit 0`, `|| true` or `-k nothing`, and every test is green, whatever the course has become.
So a change of these files needs the same change here, and a reason for it.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]

CI_RUN = """\
#!/usr/bin/env bash
# The README's test command, on Tiny Shakespeare where a copy of it lies at hand.
set -euo pipefail
cd "$(dirname "$0")/.."
shakespeare=../shared/data/tinyshakespeare.txt
if [ -f "$shakespeare" ] && [ ! -f data/input.txt ]; then
    cp "$shakespeare" data/input.txt
fi
make test
"""

WORKFLOW = """\
name: test
on: [push, pull_request]
jobs:
"""
# Another job is another entry: its name, and the text below it.
JOBS = {
    # The README's command, with the oldest and the newest Python on the three systems it names.
    "test": """\
    strategy:
      fail-fast: false
      matrix:
        os: [ubuntu-latest, macos-latest, windows-latest]
        python: ["3.11", "3.13"]
    runs-on: ${{ matrix.os }}
    timeout-minutes: 45
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python }}
          cache: pip
          cache-dependency-path: constraints.txt
      - run: bash .ci/run
        shell: bash
""",
    # The oldest versions that the ranges of pyproject.toml allow, torch 2.4 among them.
    "oldest": """\
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
          cache: pip
          cache-dependency-path: oldest.txt
      - run: make test PINS=oldest.txt
""",
}
HELD = {
    ".ci/run": CI_RUN,
    ".github/workflows/ci.yml": WORKFLOW + "".join(f"  {n}:\n{job}" for n, job in JOBS.items()),
}

# All of the Makefile but comments and the targets that run no tests: a variable or an `export`
# anywhere reaches every recipe, and a second rule replaces the first. The stamp's name
# tells the pins, and it stands alone: else `make test PINS=oldest.txt` would run on other versions.
MAKEFILE = """
PYTHON ?= $(if $(filter Windows_NT,$(OS)),python,python3)
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PINS ?= constraints.txt
READY := .venv/ready$(filter-out .constraints.txt,.$(notdir $(PINS)))
ROOT = $(if $(filter 0,$(shell id -u)),--allow-root)

lint: $(READY)
	@$(BIN)/python -m pytest --quiet --no-header --tb=short -m "lint and not slow" tests/house tests/course

quick: $(READY)
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal -m "not slow"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --junitxml=.venv/report.xml
	@$(BIN)/python tests/ran.py .venv/report.xml

$(READY): pyproject.toml $(PINS)
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed, and this is ' + sys.version.split()[0] + ': install one, or name it, as in make PYTHON=python3.13 lab')"
	@$(PYTHON) -c "from pathlib import Path; [stamp.unlink() for stamp in Path('.venv').glob('ready*')]"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(PINS) --editable ".[lab,test]"
	@$(BIN)/python -c "open('$(READY)', 'w').close()"
"""  # noqa: E501
GEARS = ("lint", "quick", "test")
A_TARGET = r"^([a-z]+): (?:[a-z]+ |\$\(READY\) )*##.*(?<!\\)\n(?:\t.*(?<!\\)\n)+"

TOOLS = {
    "pytest": {
        "ini_options": {
            "testpaths": ["tests"],
            "pythonpath": [
                "tests", "tests/course", "helper_scripts", "helper_scripts/measure",
                "helper_scripts/bench", "helper_scripts/pages", "helper_scripts/notebooks",
                "helper_scripts/workshop",
            ],
            # The whole of a notebook's cell is run, and only tagged outputs are compared. A killed
            # kernel must end some day; beside five busy processes the cell that trains in lesson 8
            # once needed more than 300 seconds.
            "addopts": "--nbval-lax --nbval-current-env --nbval-cell-timeout=900",
            "markers": [
                "lint: reads pages, notebooks and code and runs none of it; make lint",
                "slow: more than two seconds, or torchrun, kills, kits, environments, kernels; "
                "not in make quick",
            ],
        }
    },
    "ruff": {
        "line-length": 100,
        "extend-exclude": ["*.ipynb"],
        "src": [".", "tests", "tests/*", "helper_scripts", "helper_scripts/*"],
        "lint": {
            "select": ["C90", "E", "F", "I", "B", "UP", "SIM"],
            "ignore": ["SIM300"],  # it takes the shape names B, T and C for constants
            "isort": {
                "section-order": [
                    "future", "standard-library", "first-party", "third-party", "local-folder"
                ]
            },
        },
    },
}  # fmt: skip
# What make, pytest, ruff or Python would read before ours, or instead.
RIVALS = re.compile(
    r"(gnu|bsd)?makefile|\.?pytest\.(ini|toml)|tox\.ini|setup\.cfg|\.?ruff\.toml|pyproject\.toml"
    r"|(site|user)customize\.py|(_?pytest|xdist|nbval)(\.py)?",
    re.IGNORECASE,
)
OURS = {ROOT / "Makefile", ROOT / "pyproject.toml"}
FOLDERS = ("lessons", "tests", "helper_scripts", "notebooks", "data")  # and not .venv
PATHS = [*ROOT.iterdir(), *(path for name in FOLDERS for path in (ROOT / name).rglob("*"))]
CONFTESTS = [path for path in PATHS if path.name == "conftest.py"]


# Without what a `make` that runs this test hands on to the next one.
CLEAN = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "PINS"}}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", HELD)
def test_ci_runs_the_command_of_the_readme_and_nothing_around_it(name):
    assert text_of(name) == HELD[name]


def test_no_other_workflow_decides_whether_a_commit_is_good():
    files = [path for path in (ROOT / ".github").rglob("*") if path.is_file()]
    found = {path.relative_to(ROOT).as_posix() for path in [*files, *(ROOT / ".ci").iterdir()]}
    assert found == set(HELD)


def held_part(makefile: str) -> str:
    """The Makefile without comments, and without the targets that run no tests."""

    def kept(rule: re.Match) -> str:
        return rule[0] if rule[1] in GEARS else ""

    rules = re.sub(A_TARGET, kept, makefile, flags=re.MULTILINE)
    rules = re.sub(r"^\.PHONY:(.*\\\n)*.*\n", "", rules, flags=re.MULTILINE)
    return re.sub(r"(^| )#.*(?<!\\)$", "", rules, flags=re.MULTILINE)


def test_the_gears_run_what_they_say():
    held = [line for line in held_part(text_of("Makefile")).splitlines() if line]
    assert held == [line for line in MAKEFILE.splitlines() if line]


def fake_python(folder: Path) -> Path:
    """A Python that installs nothing: it makes no environment, and notes pip's constraints."""
    path = folder / "python"
    path.write_text(f"""#!/bin/sh
case "$2" in
venv) ;;
pip) echo "$7" ;;
pytest | tests/ran.py) ;;
*) exec "{sys.executable}" "$@" ;;
esac
""")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(not shutil.which("make") or os.name == "nt", reason="no make, or no shell")
def test_make_installs_what_other_pins_name_and_nothing_twice(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "oldest.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = fake_python(tmp_path / ".venv" / "bin")

    def installed(*words: str) -> list[str]:
        command = ["make", "--silent", f"PYTHON={python}", "quick", *words]
        said = subprocess.check_output(command, cwd=tmp_path, text=True, env=CLEAN)
        return re.findall(r"^\w+\.txt$", said, re.MULTILINE)

    pinned, oldest = ["constraints.txt"], ["oldest.txt"]
    assert [installed(), installed()] == [pinned, []]
    for _ in range(2):
        assert [installed("PINS=oldest.txt"), installed("PINS=oldest.txt")] == [oldest, []]
        assert [installed(), installed()] == [pinned, []]


def test_no_file_can_stand_for_a_target_of_make():
    makefile = text_of("Makefile")
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)\n", makefile, re.MULTILINE)[1]
    targets = re.findall(r"^([a-z]+):", makefile, re.MULTILINE)
    assert sorted(phony.replace("\\\n", " ").split()) == sorted(targets)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_set_to_look_at_everything(tool):
    assert tomllib.loads(text_of("pyproject.toml"))["tool"][tool] == TOOLS[tool]


def test_no_other_file_tells_the_tools_what_to_do():
    assert {path for path in PATHS if RIVALS.fullmatch(path.name)} == OURS


def test_this_run_is_set_by_the_file_that_is_held(pytestconfig):
    assert pytestconfig.inipath == ROOT / "pyproject.toml"


@pytest.mark.parametrize("path", CONFTESTS, ids=lambda path: path.parent.name)
def test_a_conftest_gives_fixtures_and_decides_nothing(path):
    code = re.sub("#.*", "", path.read_text(encoding="utf-8"))
    decides = r"pytest_\w+|PYTEST_\w+|\w*skip\w*|xfail|collect_ignore\w*|_?exit\b|items\b.*="
    # It lets nbval compare more; tests/course/test_outputs.py holds what.
    compares = ["pytest_collection_modifyitems"] if path.parent == ROOT else []
    assert re.findall(decides, code) == compares
