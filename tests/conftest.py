"""What several tests share: a small text, and rungs short enough to train in a test."""

import shutil
import subprocess
from pathlib import Path

from lessons.evaluation import COLUMNS
from lessons.ladder import RUNGS, Rung
from lessons.tokenizer import CharTokenizer

import hypothesis
import pandas as pd
import pytest
import torch

# A busy machine is not an error.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
TEXT = "the quick brown fox jumps over the lazy dog; " * 60


@pytest.fixture
def text() -> str:
    return TEXT


@pytest.fixture
def text_file(tmp_path, text):
    path = tmp_path / "mine.txt"
    path.write_text(text)
    return path


@pytest.fixture
def data() -> torch.Tensor:
    return torch.tensor(CharTokenizer(TEXT).encode(TEXT))


@pytest.fixture(params=RUNGS, ids=lambda rung: rung.stem)
def rung(request):
    """Every rung of the ladder in turn, with 20 steps instead of thousands."""
    return request.param.shortened(max_iters=20, eval_interval=10)


def copy_of_the_course(folder: Path) -> None:
    """The repository's files, committed or about to be; without git, all but caches."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        paths = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        hidden = {"__pycache__", ".venv", ".pytest_cache", ".ruff_cache", ".hypothesis"}
        listed = [str(path) for path in paths if not hidden & set(path.parts)]
    for name in listed:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def losses_of(rung: Rung, seed: int) -> pd.DataFrame:
    """Losses as `run_rung` returns them, made up."""
    rows = [(seed, step, 3.0 - step / 10, 3.0 - seed / 10, step / 2) for step in (0, 2, 4)]
    return pd.DataFrame(rows, columns=COLUMNS)
