"""Plumbing · one training step at scale: what ten lines become on a GPU, or on eight.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

from contextlib import nullcontext

from lessons.at_scale.distributed import my_share, world_size
from lessons.at_scale.precision import autocast
from lessons.at_scale.state import TrainingState
from lessons.at_scale.token_file import as_ids
from lessons.batches import get_batch
from lessons.optimization import learning_rate_at

import torch
import torch.nn as nn


def train_step(fast: nn.Module, state: TrainingState, train_data: torch.Tensor) -> torch.Tensor:
    """One step of AdamW; returns the loss of this process's share of the batch, a scalar.

    `fast` is the model, or a wrapper around it that shares its weights: compiled, or averaging
    gradients over the processes whenever one of them calls backward.
    """
    config, scaler = state.config, state.scaler
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate_at(state.step, config)
    # Every process draws the same batch: how many there are changes nothing but dropout.
    batch = get_batch(train_data, config.batch_size, state.model.block_size, state.batch_rng)
    xb, yb = (as_ids(my_share(ids)) for ids in batch)  # each (B, T)
    if state.device.type == "cuda":
        # From pinned memory the GPU fetches them by itself, while the CPU goes on.
        xb, yb = (ids.pin_memory().to(state.device, non_blocking=True) for ids in (xb, yb))
    else:
        xb, yb = xb.to(state.device), yb.to(state.device)
    total = torch.zeros((), device=state.device)
    micro_batches = zip(*(ids.chunk(config.grad_accum_steps) for ids in (xb, yb)), strict=True)
    for i, (x, y) in enumerate(micro_batches, 1):
        # Averaging over the processes takes time: once is enough, with the last micro-batch.
        not_yet = world_size() > 1 and i < config.grad_accum_steps
        with fast.no_sync() if not_yet else nullcontext():
            with autocast(state.device, state.dtype):
                _, loss = fast(x, y)
            loss = loss / config.grad_accum_steps  # gradients add up: this makes their sum a mean
            scaler.scale(loss).backward()
        total += loss.detach()
    scaler.unscale_(state.optimizer)  # before clipping, which must see their true length
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.grad_clip)
    if not scaler.is_enabled():  # a scaler skips steps with infinite gradients by itself
        # 0 times an infinite norm is NaN, and shows in the loss before the weights are saved.
        total += 0 * norm
    scaler.step(state.optimizer)
    scaler.update()
    state.optimizer.zero_grad()
    state.step += 1
    return total
