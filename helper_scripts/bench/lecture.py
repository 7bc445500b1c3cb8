"""The lecture's way of training, with which the benchmarks compare ours.

A Python list of heads, batches stacked from slices, plain AdamW, estimates of 200 small batches.
Shapes: N tokens in a split, B batch, T time (positions).
"""

from collections.abc import Callable

from lessons.evaluation import evaluation
from lessons.ladder import Rung, build_model
from lessons.multi_head import CausalSelfAttention, MultiHeadAttention

import torch
import torch.nn as nn


def lecture_model(rung: Rung, vocab_size: int) -> nn.Module:
    """The rung's model with every attention layer as a list of heads."""
    model = build_model(rung, vocab_size, seed=0)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, CausalSelfAttention):
                s = rung.settings
                setattr(parent, name, MultiHeadAttention(s.n_embd, s.n_head, s.block_size))
    return model


def lecture_batch(data: torch.Tensor, batch_size: int, block_size: int):
    """(N,) -> inputs and targets from random places, each (B, T)."""
    starts = torch.randint(len(data) - block_size, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in starts])  # (B, T)
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in starts])  # (B, T)
    return x, y


def lecture_estimate(
    model: nn.Module, data: torch.Tensor, batch_size: int, block_size: int
) -> float:
    """The mean loss over 200 small random batches."""
    device, losses = next(model.parameters()).device, torch.zeros(200)
    with evaluation(model):
        for k in range(200):
            xb, yb = lecture_batch(data, batch_size, block_size)
            losses[k] = model(xb.to(device), yb.to(device))[1].item()
    return losses.mean().item()


def plain_step(
    model: nn.Module, batch: Callable, optimizer: torch.optim.Optimizer
) -> Callable[[], None]:
    """A step as in lesson 1, with the batches that `batch` draws."""
    device = next(model.parameters()).device

    def step() -> None:
        xb, yb = batch()
        _, loss = model(xb.to(device), yb.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step
