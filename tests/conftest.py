"""What several tests share: a small text, and rungs short enough to train in a test."""

from lessons.ladder import RUNGS
from lessons.tokenizer import CharTokenizer

import hypothesis
import pytest
import torch

# A busy machine is not an error.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

TEXT = "the quick brown fox jumps over the lazy dog; " * 60


@pytest.fixture(scope="session")
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
