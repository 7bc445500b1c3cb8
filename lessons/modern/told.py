"""Plumbing · what counting says after each character of a text, and the loss of who is told it.

Shapes: N characters of a text, T time (positions), V vocab_size.
"""

from lessons.counting import CountModel, as_numbers
from lessons.evaluation import evaluation, windows

import torch
import torch.nn as nn
import torch.nn.functional as F


def next_log_shares(
    model: CountModel, data: torch.Tensor, before: torch.Tensor | None = None
) -> torch.Tensor:
    """What counting says after each character of `data`, given all before it, (N,) -> (N, V).

    `before` is what stands before `data`; at the beginning of a text contexts are shorter.
    """
    n, V = model.order, model.vocab_size
    whole = data if before is None else torch.cat((before[len(before) - n + 1 :], data))
    first = [model.shares(as_numbers(whole[None, :k], V), k) for k in range(1, n)]
    contexts, which = as_numbers(whole.unfold(0, n, 1), V).unique(return_inverse=True)
    return torch.cat((*first, model.shares(contexts, n)[which])).log()[-len(data) :]


def joined_loss(model: nn.Module, data: torch.Tensor, before: torch.Tensor) -> float:
    """`full_loss` of a joined model, whose counting looks back over the edges of the windows."""
    T, V = model.block_size, model.counts.vocab_size
    inputs, targets = windows(data, T)
    told = next_log_shares(model.counts, data[:-1], before)
    told = F.pad(told, (0, 0, 0, inputs.numel() - len(told))).view(-1, T, V)
    total, batches = 0.0, zip(inputs.split(256), targets.split(256), told.split(256), strict=True)
    with evaluation(model):
        for xb, yb, log_shares in batches:
            total += model(xb, yb, log_shares)[1].item() * (yb != -100).sum().item()
    return total / (len(data) - 1)
