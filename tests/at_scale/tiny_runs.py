"""Runs small enough for a test: a model, settings, ways to start and to compare them."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import train
from lessons.gpt import GPT, GPTConfig
from lessons.presets import TrainingConfig

import psutil
import pytest
import torch

TINY = GPTConfig(vocab_size=28, block_size=8, n_layer=1, n_head=2, n_embd=16)
FEW = TrainingConfig(batch_size=4, max_iters=20, eval_interval=10, warmup_iters=5)


def new_model(dropout: float = 0.0) -> GPT:
    torch.manual_seed(0)
    return GPT(TINY, dropout)


def same(a: dict, b: dict) -> bool:
    """Whether two checkpoints hold the same to the bit, the seconds they took apart."""
    plain = []
    for checkpoint in (a, b):
        rows = [row[:3] for row in checkpoint["rows"]]
        plain.append(checkpoint | {"rows": rows, "seconds": None, "about": None})
    return equal(*plain)


def equal(a: object, b: object) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_helper_scripts() -> dict[str, str]:
    """This environment, in which Python finds the helper scripts too."""
    paths = [str(Path(train.__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


gloo = pytest.mark.skipif(sys.platform == "win32", reason="torchrun wants a Unix here")


@contextmanager
def torchrun(
    folder: Path, text_file: Path, *words: str, script: str = train.__file__
) -> Iterator[subprocess.Popen]:
    """Two processes of train.py; whatever a test does, none of them outlives it."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
        *(script, "--preset", "small", "--text", str(text_file), "--out", str(folder)),
        *words,
    ]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=with_helper_scripts(), **pipes) as process:
        family = [psutil.Process(process.pid)]
        try:
            yield process
        finally:
            if process.poll() is None:
                family += family[0].children(recursive=True)
                for member in family:
                    member.kill()


def wait_for_a_checkpoint(process: subprocess.Popen, folder: Path) -> None:
    begun = time.monotonic()
    while not (folder / "last.pt").exists():
        time.sleep(0.1)
        assert process.poll() is None and time.monotonic() - begun < 180
