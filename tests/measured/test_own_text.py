"""What to expect of one's own text is measured as `make train` would use a file."""

import math
import re
import sys

import own_text as measure_own_text
from lessons.course.markers import README
from lessons.ladder import RUNGS, run_rung
from lessons.records import EXPERIMENTS_DIR

import pandas as pd
import pytest
import torch

FEW = [(measure_own_text.SHAKESPEARE, 900, "small"), (measure_own_text.PYTHON, 10**9, "small")]


@pytest.fixture
def measure(tmp_path, monkeypatch, text):
    """A function that runs the script for three steps on two small texts."""
    monkeypatch.setattr(measure_own_text, "load_text", lambda: text)
    monkeypatch.setattr(measure_own_text, "language_reference", lambda: text.upper()[:1500])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(measure_own_text, "RUNS", FEW)

    def run(*arguments: str) -> pd.DataFrame:
        monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path), "--max-iters", "3",
                                          "--seeds", "0", *arguments])  # fmt: skip
        measure_own_text.main()
        return pd.read_csv(tmp_path / "own_text.csv")

    return run


def test_each_text_is_cut_and_has_its_own_vocabulary(measure, monkeypatch, text):
    rows = measure()
    assert rows.n_chars.tolist() == [900, 1500]
    assert rows.vocab_size.tolist() == [len(set(text[:900])), len(set(text.upper()[:1500]))]
    assert (rows.best_loss <= rows.last_loss).all()
    monkeypatch.setattr(measure_own_text, "measure", None)  # calling it would be an error
    pd.testing.assert_frame_equal(measure(), rows)


def test_a_run_is_that_of_rung_8_on_the_same_text(text):
    rung = RUNGS[-1].shortened(max_iters=3, eval_interval=3)
    *_, last_loss = measure_own_text.measure(text, rung.settings, seed=2)
    _, losses = run_rung(rung, text, 2, torch.device("cpu"))
    assert last_loss == losses.val_loss.iloc[-1]


def test_the_record_has_a_seed_of_every_run():
    rows = pd.read_csv(EXPERIMENTS_DIR / "own_text.csv")
    first = rows[rows.seed == 0]
    recorded = list(zip(first.text, first.n_chars, first.preset, strict=True))
    assert len(recorded) == len(measure_own_text.RUNS) == len(set(recorded))
    assert (rows.best_loss <= rows.last_loss).all()
    assert (rows.count_loss < rows.vocab_size.map(math.log)).all()


def test_the_readmes_yardsticks_run_as_they_stand(tmp_path, monkeypatch, capsys, text_file, text):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    text_file.rename(tmp_path / "my.txt")
    exec(code, {})
    nothing, pairs = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out))
    assert nothing == pytest.approx(math.log(len(set(text))), abs=0.006) and pairs < nothing
