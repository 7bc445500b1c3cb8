"""Plumbing · the loss over whole splits, each process taking a share.

Shapes: N tokens in a split.
"""

import math

from lessons.at_scale.distributed import rank, weighted_mean, world_size
from lessons.at_scale.token_file import as_ids
from lessons.evaluation import full_loss

import torch
import torch.nn as nn

EVAL_TOKENS = 2048  # a loss is measured on at least this many at once


def eval_ids(train_data: torch.Tensor, val_data: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The ids that losses are measured on: all of val_data, and a quarter as many of train_data."""
    n_train = len(val_data) // 4 + 2  # two tokens are the fewest that have a loss
    return as_ids(train_data[:n_train]), as_ids(val_data)


def shared_full_loss(model: nn.Module, data: torch.Tensor, batch_size: int) -> float:
    """The `full_loss` of `data`, (N,), its windows divided among the processes."""
    block_size = model.block_size
    # Smaller batches take longer per token.
    batch_size = max(batch_size, EVAL_TOKENS // block_size)
    n_windows = math.ceil((len(data) - 1) / block_size)
    n_mine = math.ceil(n_windows / world_size())
    first = min(rank() * n_mine * block_size, len(data) - 1)
    mine = data[first : first + n_mine * block_size + 1]
    n_targets = len(mine) - 1  # 0 in the last processes, if windows are few
    loss = full_loss(model, mine, block_size, batch_size) if n_targets else 0.0
    return weighted_mean(loss, n_targets)
