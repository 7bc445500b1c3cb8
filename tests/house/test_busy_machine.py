"""However the course is started, torch's threads do not wait for each other by spinning for long.

What OpenMP reads must be in the environment before torch loads. A package that is called torch,
and only says what it sees, stands in for it here.
"""

import os
import re
import subprocess
import sys

import colab_links
from lessons.course.address import ROOT, address
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.files import read_csv
from lessons.records import EXPERIMENTS_DIR

import nbformat
import pytest
import torch

SCRIPTS = [
    path
    for path in sorted((ROOT / "helper_scripts").rglob("*.py"))
    if re.search("import torch|from experiment import", path.read_text("utf-8"))
    and "__main__" in path.read_text("utf-8")
]
LESSONS = lesson_paths(ROOT / "notebooks")
NOTEBOOKS = [*LESSONS, *map(solutions_of, LESSONS)]
CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
SAYS_WHAT_IT_SEES = """
import os, sys
sys.exit("spin " + os.environ.get("GOMP_SPINCOUNT", "as ever"))
"""


@pytest.fixture
def what_torch_sees(tmp_path):
    """Run Python with these words, as a reader does: what torch, when it loads, sees set."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(SAYS_WHAT_IT_SEES)

    def run(*words: str, **more: str) -> str:
        env = {name: value for name, value in os.environ.items() if name not in CHOICES}
        env |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])} | more
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
        return done.stderr.strip()

    return run


SHORT_SPIN = "spin 1000"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_typed_by_hand_sets_it(what_torch_sees, script):
    assert what_torch_sees(script, "--help") == SHORT_SPIN


def test_there_are_scripts_that_import_torch():
    assert {"train", "ladder", "gpu"} <= {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.parametrize("first", [0, 1], ids=["with its setup cell", "without"])
def test_a_kernel_of_any_jupyter_sets_it(what_torch_sees, notebook, first, tmp_path):
    cells = [c.source for c in nbformat.read(notebook, 4).cells if c.cell_type == "code"]
    (tmp_path / "cells.py").write_text("\n".join(cells[first:]), encoding="utf-8")
    assert what_torch_sees(tmp_path / "cells.py") == SHORT_SPIN


def test_colab_sets_it(what_torch_sees, tmp_path):
    (tmp_path / "google").mkdir()
    (tmp_path / "google" / "colab.py").touch()
    cells = [c.source for c in nbformat.read(NOTEBOOKS[0], 4).cells if c.cell_type == "code"]
    assert cells[0] == colab_links.SETUP.format(**address())
    code = "\n".join(["import google.colab", *cells])
    assert what_torch_sees("-c", code) == SHORT_SPIN


def test_what_a_reader_has_set_stays(what_torch_sees):
    look = ("-c", "import lessons, torch")
    assert what_torch_sees(*look, GOMP_SPINCOUNT="7") == "spin 7"
    assert what_torch_sees(*look, OMP_WAIT_POLICY="ACTIVE") == "spin as ever"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU's OpenMP is Linux's")
def test_gnus_openmp_takes_it_over():
    env = {name: value for name, value in os.environ.items() if name not in CHOICES}
    code = "import lessons, torch; torch.ones(2)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
                          env=env | {"OMP_DISPLAY_ENV": "VERBOSE"})  # fmt: skip
    assert re.search(r"GOMP_SPINCOUNT = '1000'", said.stderr)


def test_the_tests_have_as_many_threads_as_their_environment_says():
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])


def test_make_starts_what_sets_it():
    """Every recipe that trains runs a script or the notebooks, and none sets another policy."""
    recipes = (ROOT / "Makefile").read_text("utf-8")
    assert not re.search("OMP_|GOMP_|KMP_", recipes)
    for target in ("train", "ladder", "bench", "speed", "norms", "exercises"):
        script = re.search(rf"^{target}:.*\n\t@\$\(BIN\)/python (\S+)", recipes, re.MULTILINE)[1]
        assert ROOT / script in SCRIPTS


def test_the_recorded_speeds_say_that_it_helps():
    """Quiet at most a tenth slower than the default; busy at least half of a single thread."""
    rows = read_csv(EXPERIMENTS_DIR / "busy.csv", ["way", "busy_loops", "steps_per_second"])
    speed = rows.groupby(["way", "busy_loops"]).steps_per_second.median()
    assert rows.groupby(["way", "busy_loops"]).size().min() >= 5
    assert speed["short spin", 0] >= 0.9 * speed["default", 0]
    for busy_loops in (1, 2):
        assert speed["short spin", busy_loops] >= 0.5 * speed["one thread", busy_loops]
