"""Training goes on and is saved, and a sample is written, whatever becomes of the output."""

import os
import subprocess
import sys

import sample
import train
from lessons.at_scale.checkpoints import read_checkpoint
from tiny_runs import with_helper_scripts

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has another shell"),
]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
STRICT = {"PYTHONIOENCODING": "ascii:strict"}


def in_shell(line: str, *words: object, **variables: str) -> subprocess.CompletedProcess:
    """Run a line of bash in which "$@" is this Python with these words; what it says is read."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}", "bash", sys.executable, *map(str, words)],
        env=with_helper_scripts() | variables, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ('"$@" | true', 0),
        ('"$@" | head -c 1', 0),
        ('"$@" 2>&1 | true', 0),
        ('"$@" >&- 2>&-', 0),
        ('"$@" >/dev/full', 2),
        ('"$@" 2>/dev/full', 0),
        ('"$@" >/dev/full 2>&1', 2),
    ],
)
def test_training_goes_on_without_its_output(tmp_path, text_file, line, status):
    words = ["--preset", "small", "--text", text_file, "--max-iters", "4", "--eval-interval", "2"]
    result = in_shell(line, train.__file__, *words, "--out", tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / "last.pt")["step"] == 4
    assert b"Traceback" not in result.stderr and b"Exception" not in result.stderr
    assert result.returncode == status


@pytest.mark.parametrize("variables", [ASCII, STRICT, ASCII | STRICT])
def test_an_ascii_terminal_loses_neither_a_run_nor_its_words(tmp_path, variables):
    text, folder = tmp_path / "tëxt.txt", tmp_path / "für → 😀"
    text.write_text("žluťoučký kůň → 😀 " * 100, encoding="utf-8")
    words = ["--preset", "small", "--text", text, "--max-iters", "4", "--eval-interval", "2"]
    result = in_shell('"$@"', train.__file__, *words, "--out", folder, **variables)
    assert result.returncode == 0 and read_checkpoint(folder / "last.pt")["step"] == 4
    assert b"Validation loss" in result.stdout
    # Without a word about errors Python hands on the bytes of a path as they were typed.
    assert result.stdout.isascii() == ("PYTHONIOENCODING" in variables)
    words = ["--run", folder, "--characters", "30", "--prompt", "kůň"]
    result = in_shell('"$@"', sample.__file__, *words, **variables)
    assert result.returncode == 0 and result.stderr == b""
    written = result.stdout.decode("unicode_escape")
    assert written.startswith("kůň") and len(written.rstrip("\n")) >= 30


def test_a_sentence_reaches_an_ascii_terminal_too(tmp_path):
    result = in_shell('"$@"', train.__file__, "--preset", "größe", **ASCII)
    assert result.returncode == 2 and result.stderr.isascii()
    assert result.stderr.startswith(b"error: There is no preset ")
