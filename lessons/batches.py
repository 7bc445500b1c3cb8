"""Lesson 1 · the split, and batches of inputs and targets.

Shapes: B batch, T time (positions), N tokens in a split.
"""

from collections.abc import Iterator

import torch

from lessons.errors import check_length


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


def deal_batches(
    data: torch.Tensor,
    batch_size: int,
    block_size: int,
    generator: torch.Generator | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Like get_batch without end, but no stretch comes twice before each has come once.

    The last batch of a round may be smaller. Raises BadInput as get_batch does.
    """
    check_length(data, block_size)
    while True:
        # Each round starts at another place, so the cuts between stretches fall elsewhere.
        n_starts = min(block_size, len(data) - block_size)
        start = torch.randint(n_starts, (1,), generator=generator).item()
        stretches = data[start:].unfold(0, block_size + 1, block_size)  # (n, T + 1)
        for hand in torch.randperm(len(stretches), generator=generator).split(batch_size):
            yield stretches[hand, :-1], stretches[hand, 1:]  # each (B, T)
