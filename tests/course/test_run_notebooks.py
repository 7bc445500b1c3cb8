"""Every notebook runs without the others, in a fresh kernel and a fresh copy of the course."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from course_copy import copy_of_the_course
from lessons.course.catalogue import lesson_paths, solutions_of

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
LESSONS = lesson_paths(ROOT / "notebooks")
NOTEBOOKS = [*LESSONS, *map(solutions_of, LESSONS)]


@pytest.fixture
def fresh_copy(tmp_path) -> Path:
    """The course in a folder of its own, with the text if it is there."""
    copy_of_the_course(tmp_path)
    if (ROOT / "data" / "input.txt").exists():
        shutil.copy(ROOT / "data" / "input.txt", tmp_path / "data")
    return tmp_path


def files_in(folder: Path) -> dict[str, bytes]:
    """What lies there, caches aside."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    # A text that the notebook downloads is kept, as it should be.
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if not {"__pycache__", ".pytest_cache", ".ipynb_checkpoints"} & set(path.parts)
        and path.name != "input.txt"
    }


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_alone_and_leaves_nothing_behind(notebook, fresh_copy):
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["PYTHONPATH"] = str(fresh_copy)
    where = [sys.executable, "-c", "import lessons; print(lessons.__file__)"]
    found = subprocess.run(where, cwd=fresh_copy / "notebooks", env=env, capture_output=True)
    assert Path(found.stdout.decode().strip()).is_relative_to(fresh_copy)
    before = files_in(fresh_copy)
    # nbval, as pyproject.toml sets it up.
    command = [sys.executable, "-m", "pytest", "-q", str(notebook.relative_to(ROOT))]
    result = subprocess.run(command, cwd=fresh_copy, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "passed" in result.stdout
    assert files_in(fresh_copy) == before
