"""The training loop: what it reaches, and a loss that is no number."""

import signal
import threading
import time
from contextlib import nullcontext
from dataclasses import replace

from lessons.at_scale import loop, progress
from lessons.at_scale.checkpoints import read_checkpoint
from lessons.at_scale.loop import train_at_scale
from lessons.batches import split
from lessons.errors import BadInput, Stopped
from lessons.evaluation import full_loss
from lessons.presets import TrainingConfig
from tiny_runs import FEW, new_model, same

import pytest
import torch
from tqdm import tqdm


def test_training_at_scale_lowers_the_loss_and_ends_with_the_full_loss(data):
    model, (train_data, val_data) = new_model(), split(data)
    losses = train_at_scale(model, train_data, val_data, FEW)
    assert losses.step.tolist() == [0, 10, 20]
    assert losses.val_loss.iloc[-1] < losses.val_loss.iloc[0]
    assert losses.val_loss.iloc[-1] == pytest.approx(full_loss(model, val_data, 8), abs=1e-5)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    data, tmp_path, capsys
):
    config = TrainingConfig(batch_size=4, max_iters=100, eval_interval=10, warmup_iters=5)
    train_at_scale(new_model(), *split(data), FEW, folder=tmp_path)
    good = read_checkpoint(tmp_path / "last.pt")
    broken = read_checkpoint(tmp_path / "last.pt")
    model = new_model()
    broken["model"]["lm_head.bias"] = torch.full((28,), torch.inf)
    with pytest.raises(BadInput, match="became nan at step 20.*0.00.*good checkpoint is kept"):
        train_at_scale(model, *split(data), config, folder=tmp_path, resume_from=broken)
    assert same(read_checkpoint(tmp_path / "last.pt"), good)


def test_infinite_gradients_are_noticed_before_they_are_saved(data, tmp_path):
    model = new_model()
    model.lm_head.bias.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(BadInput, match="loss became nan at step 0.*good checkpoint is kept"):
        train_at_scale(model, *split(data), FEW, folder=tmp_path)
    with pytest.raises(BadInput, match="loss became nan at step 0.*: try a lower one"):
        train_at_scale(model, *split(data), FEW)
    assert read_checkpoint(tmp_path / "last.pt")["step"] == 0


def test_a_run_stopped_after_a_loss_that_is_no_number_saves_no_weights(data, tmp_path, monkeypatch):
    model, asked = new_model(), iter([False, False, True])
    monkeypatch.setattr(loop, "stop_requests", lambda: nullcontext(lambda: next(asked)))
    model.lm_head.bias.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises((BadInput, Stopped), match="loss became nan at step 0"):
        train_at_scale(model, *split(data), FEW, folder=tmp_path)
    assert read_checkpoint(tmp_path / "last.pt")["step"] == 0


def test_without_a_folder_ctrl_c_ends_a_run_at_once(data, monkeypatch):
    def step(*_):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the step went on")

    monkeypatch.setattr(loop, "train_step", step)
    # A program that a script started in the background ignores Ctrl-C from the start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_at_scale(new_model(), *split(data), FEW)
    finally:
        signal.signal(signal.SIGINT, before)


class RedrawnBar(tqdm):
    """Counts how often it is redrawn while nothing has happened."""

    redrawn = 0

    def refresh(self, *args, **more):
        self.redrawn += 1
        return super().refresh(*args, **more)


def test_the_bar_goes_on_while_a_step_takes_long(data, monkeypatch):
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.01)
    bar, threads = RedrawnBar(total=1), threading.active_count()

    def train_step(fast, state, train_data):
        before, begun = bar.redrawn, time.monotonic()
        while bar.redrawn < before + 2:
            assert time.monotonic() - begun < 10
            time.sleep(0.01)
        state.step += 1
        return torch.zeros(())

    monkeypatch.setattr(loop, "train_step", train_step)
    train_at_scale(new_model(), *split(data), replace(FEW, max_iters=1), progress=bar)
    assert threading.active_count() == threads
