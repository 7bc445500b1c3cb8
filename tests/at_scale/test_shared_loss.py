"""The loss over whole splits, as processes share it out."""

from lessons.at_scale.shared_loss import shared_full_loss
from lessons.evaluation import full_loss
from tiny_runs import new_model

import pytest


def test_the_shared_loss_of_one_process_is_the_full_loss(data):
    model = new_model()
    assert shared_full_loss(model, data, 4) == pytest.approx(full_loss(model, data, 8), abs=1e-6)
