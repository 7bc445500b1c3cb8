"""One step of training, whole or in micro-batches."""

from lessons.at_scale.loop import train_at_scale
from lessons.batches import split
from lessons.errors import BadInput
from lessons.presets import TrainingConfig
from tiny_runs import FEW, new_model

import pandas as pd
import pytest


def test_micro_batches_give_the_losses_of_the_whole_batch(data):
    whole, parts = (
        train_at_scale(
            new_model(), *split(data), TrainingConfig(**FEW.__dict__ | {"grad_accum_steps": n})
        )
        for n in (1, 4)
    )
    pd.testing.assert_frame_equal(
        whole.drop(columns="seconds"), parts.drop(columns="seconds"), atol=1e-5, rtol=0
    )


def test_a_batch_that_cannot_be_cut_evenly_is_refused(data):
    config = TrainingConfig(batch_size=4, max_iters=20, grad_accum_steps=3)
    with pytest.raises(BadInput, match="batch_size 4 .* multiple of 3"):
        train_at_scale(new_model(), *split(data), config)
