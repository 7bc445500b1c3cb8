"""Lesson 7's grid of post-norm against pre-norm is measured whole, and never twice."""

import sys

import norms as measure_norms
from lessons.records import EXPERIMENTS_DIR

import pandas as pd
import pytest
import torch


@pytest.fixture
def measure(tmp_path, monkeypatch, text):
    """A function that runs the script at toy size, with further arguments."""
    monkeypatch.setattr(measure_norms, "load_text", lambda: text)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    small = ["--depths", "1", "2", "--learning-rates", "0.01", "--max-iters", "5"]

    def run(*arguments: str) -> pd.DataFrame:
        monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path), *small, *arguments])
        measure_norms.main()
        return pd.read_csv(tmp_path / "norm_grid.csv")

    return run


def test_every_combination_is_measured_once_and_what_is_there_is_kept(measure, monkeypatch):
    rows = measure("--seeds", "0")
    assert list(rows.columns) == [*measure_norms.KEYS, "val_loss"]
    assert sorted(zip(rows.n_layer, rows.norm, strict=True)) == [
        (1, "post-norm"), (1, "pre-norm"), (2, "post-norm"), (2, "pre-norm")
    ]  # fmt: skip
    assert rows.val_loss.nunique() == 4
    monkeypatch.setattr(measure_norms, "run_rung", None)  # calling it would be an error
    pd.testing.assert_frame_equal(measure("--seeds", "0"), rows)


def test_a_grid_measured_in_another_way_is_refused_and_kept(measure, capsys):
    rows = measure("--seeds", "0")
    with pytest.raises(SystemExit):
        measure("--seeds", "0", "--max-iters", "6")
    assert "measured with other hyperparameters" in capsys.readouterr().err
    pd.testing.assert_frame_equal(measure("--seeds", "0"), rows)


@pytest.mark.parametrize(
    "words",
    [("--depths", "0"), ("--max-iters", "0"), ("--learning-rates", "0.01", "1e400"),
     ("--learning-rates", "nan"), ("--depths", "1000000"), ("--seeds", "-1")],
)  # fmt: skip
def test_what_is_no_measurement_is_refused_before_anything_is_recorded(
    measure, capsys, tmp_path, words
):
    with pytest.raises(SystemExit):
        measure(*words)
    assert f"{words[0]}: {words[-1]!r} is not a " in capsys.readouterr().err
    assert not list(tmp_path.glob("norm_grid.*"))


def test_the_recorded_grid_is_whole():
    rows = pd.read_csv(EXPERIMENTS_DIR / "norm_grid.csv")
    runs = measure_norms.grid([0, 1, 2], [3, 6, 12, 24], [3e-4, 1e-3, 3e-3, 1e-2])
    recorded = rows[measure_norms.KEYS].itertuples(index=False, name=None)
    assert sorted(recorded) == sorted(runs)
    assert rows.val_loss.between(1.5, 4.2).all()
