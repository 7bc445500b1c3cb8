"""One step of training, whole or in micro-batches."""

import copy
from dataclasses import replace

from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.batches import get_batch, split
from lessons.errors import BadInput
from lessons.optimization import learning_rate_at
from lessons.presets import TrainingConfig
from tiny_runs import FEW, new_model

import pandas as pd
import pytest
import torch
import torch.nn as nn

LONG, SHORT = 1e9, 0.05  # lengths that no gradient has, and that every gradient has


@pytest.mark.parametrize("n_parts", [1, 2, 4])
@pytest.mark.parametrize("grad_clip", [LONG, SHORT], ids=["unclipped", "clipped"])
def test_a_step_follows_the_clipped_gradient_of_the_mean_loss(data, n_parts, grad_clip):
    config = replace(FEW, grad_accum_steps=n_parts, grad_clip=grad_clip)
    state = TrainingState(new_model(), config, torch.float32, seed=7)
    seen = []
    state.optimizer.register_step_pre_hook(
        lambda *_: seen.append([p.grad.clone() for p in state.model.parameters()])
    )
    torch.manual_seed(0)  # batches come from the state's own generator, not from this one
    by_hand = copy.deepcopy(state.model)
    _, loss = by_hand(*get_batch(data, 4, 8, torch.Generator().manual_seed(7)))
    gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
    length = torch.cat([g.flatten() for g in gradients]).norm()
    assert SHORT < length < LONG
    scale = min(1, grad_clip / length)
    torch.testing.assert_close(train_step(state.model, state, data), loss.detach())
    torch.testing.assert_close(seen, [[scale * g for g in gradients]], atol=1e-6, rtol=1e-4)
    assert all(p.grad is None for p in state.model.parameters()) and state.step == 1


def test_steps_are_those_of_adamw_with_the_schedule_taken_by_hand(data):
    """Written out once more, with PyTorch's optimiser for one tensor at a time."""
    config = TrainingConfig(batch_size=4, max_iters=12, learning_rate=0.01, warmup_iters=4,
                            weight_decay=0.3, beta2=0.9, grad_clip=SHORT)  # fmt: skip
    state = TrainingState(new_model(), config, torch.float32, seed=7)
    model, generator = copy.deepcopy(state.model), torch.Generator().manual_seed(7)
    groups = [{"params": [p], "weight_decay": 0.3 * (p.dim() >= 2)} for p in model.parameters()]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.9), foreach=False, fused=False)
    rates = []
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, config)
        model(*get_batch(data, 4, 8, generator))[1].backward()
        nn.utils.clip_grad_norm_(model.parameters(), SHORT)
        optimizer.step()
        optimizer.zero_grad()
        train_step(state.model, state, data)
        rates += {group["lr"] for group in state.optimizer.param_groups}
    assert rates == [learning_rate_at(step, config) for step in range(12)]
    for ours, theirs in zip(state.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


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
