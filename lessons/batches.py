"""Lesson 1 · the split, and random batches of inputs and targets.

Shapes: B batch, T time (positions), N tokens in a split.
"""

from lessons.corpus import check_length

import torch


def split(data: torch.Tensor, train_fraction: float = 0.9) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) -> the first 90 % to learn from, (N_train,), and the rest to be tested on, (N_val,)."""
    n_train = int(train_fraction * len(data))
    return data[:n_train], data[n_train:]


def get_batch(
    data: torch.Tensor,
    batch_size: int,
    block_size: int,
    generator: torch.Generator | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) -> inputs and targets from random places, each (B, T); targets are one step later.

    Raises BadInput if `data` is shorter than block_size + 1.
    """
    check_length(data, block_size)
    # A stretch from the last allowed place still has its last target inside `data`.
    starts = torch.randint(len(data) - block_size, (batch_size, 1), generator=generator)  # (B, 1)
    stretches = data[starts + torch.arange(block_size + 1)]  # (B, T + 1)
    return stretches[:, :-1], stretches[:, 1:]  # each (B, T)
