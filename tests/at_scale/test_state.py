"""What a run remembers, in float16 too."""

from lessons.at_scale.checkpoints import read_checkpoint
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.state import TrainingState
from lessons.batches import split
from lessons.presets import TrainingConfig
from tiny_runs import FEW, new_model

import pytest
import torch


def test_float16_with_its_gradient_scaler_trains_and_resumes(data, tmp_path):
    """On a CPU, since it is the arithmetic that counts; meant for GPUs older than Ampere."""
    half = {"dtype": torch.float16, "folder": tmp_path}
    losses = train_at_scale(new_model(), *split(data), FEW, **half)
    plain = train_at_scale(new_model(), *split(data), FEW)
    assert losses.val_loss.tolist() == pytest.approx(plain.val_loss.tolist(), abs=0.01)
    longer = TrainingConfig(**FEW.__dict__ | {"max_iters": 30})
    path = tmp_path / "last.pt"
    assert read_checkpoint(path)["scaler"]["scale"] > 1
    losses = train_at_scale(
        new_model(), *split(data), longer, **half, resume_from=read_checkpoint(path)
    )
    assert losses.step.tolist() == [0, 10, 20, 30]


def test_a_float32_run_can_go_on_in_float16(data):
    """As when a run begun on a laptop moves to an older GPU."""
    config = TrainingConfig(batch_size=4, max_iters=20)
    saved = TrainingState(new_model(), config, torch.float32, seed=0).state_dict()
    state = TrainingState(new_model(), config, torch.float16, seed=0)
    state.load_state_dict(saved)
    assert state.scaler.is_enabled() and not saved["scaler"]
