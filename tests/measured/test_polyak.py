"""What the mean of the last weights is worth is measured in the very runs of the ladder."""

import sys

import polyak as measure_polyak
from lessons.dataset import encode_and_split
from lessons.device import pick_device
from lessons.evaluation import full_loss
from lessons.ladder import RUNGS, run_rung
from lessons.records import EXPERIMENTS_DIR, read_losses
from lessons.results import final_losses

import pandas as pd
import pytest
import torch


@pytest.fixture
def measure(tmp_path, monkeypatch, text):
    """A function that runs the script on a small text, with further arguments."""
    monkeypatch.setattr(measure_polyak, "load_text", lambda: text)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)

    def run(*arguments: str) -> pd.DataFrame:
        monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path), *arguments])
        measure_polyak.main()
        return pd.read_csv(tmp_path / "polyak.csv")

    return run


@pytest.mark.parametrize("disabled", ["", "1"])
def test_looking_at_the_last_weights_changes_nothing(text, monkeypatch, disabled):
    monkeypatch.setenv("TQDM_DISABLE", disabled)
    rung = RUNGS[2].shortened(max_iters=12)
    last, mean = measure_polyak.both_losses(rung, text, seed=3)
    model, losses = run_rung(rung, text, 3, pick_device("cpu"))
    assert mean == losses.val_loss.iloc[-1] != last
    # With a tenth that holds a single step, the mean is the last weights.
    single = RUNGS[2].shortened(max_iters=9)
    assert len(set(measure_polyak.both_losses(single, text, seed=3))) == 1
    val_data = encode_and_split(text)[1]
    assert full_loss(model, val_data, rung.settings.block_size) == mean


def test_every_rung_of_lesson_1s_loop_is_measured_once(measure, monkeypatch):
    rows = measure("--seeds", "0", "--max-iters", "4")
    assert rows.rung.tolist() == [rung.stem for rung in RUNGS[:7]]
    monkeypatch.setattr(measure_polyak, "both_losses", None)  # calling it would be an error
    pd.testing.assert_frame_equal(measure("--seeds", "0", "--max-iters", "4"), rows)


def test_the_record_holds_the_same_seeds_of_every_rung():
    rows = pd.read_csv(EXPERIMENTS_DIR / "polyak.csv")
    seeds = rows.groupby("rung").seed.apply(sorted)
    assert list(seeds.index) == list(measure_polyak.AVERAGED)
    assert all(own == seeds.iloc[0] and len(own) >= 3 for own in seeds)
    # It is the ladder's loss, but for the rounding errors of another machine.
    ladder = final_losses(read_losses()).set_index(["rung", "seed"]).val_loss
    measured = rows.set_index(["rung", "seed"])
    assert (measured.their_mean - ladder).dropna().abs().max() < 0.01
    assert (measured.last_weights - ladder).dropna().abs().max() < 0.1
