"""Lesson 2 · one idea four ways: each position becomes the mean of itself and its past.

Shapes: B batch, T time (positions), C channels. All four functions: (B, T, C) -> (B, T, C).
"""

import torch
import torch.nn.functional as F
from einops import einsum


def average_by_loops(x: torch.Tensor) -> torch.Tensor:
    """The definition, one position at a time: the specification for the other three."""
    B, T, C = x.shape
    out = torch.zeros_like(x)
    for b in range(B):
        for t in range(T):
            out[b, t] = x[b, : t + 1].mean(dim=0)  # (C,)
    return out


def average_by_matrix_product(x: torch.Tensor) -> torch.Tensor:
    """A triangular matrix whose rows sum to 1, times x."""
    T = x.shape[1]
    weights = torch.ones(T, T, dtype=x.dtype, device=x.device).tril()
    weights = weights / weights.sum(dim=1, keepdim=True)  # (T, T)
    return weights @ x  # (T, T) @ (B, T, C) -> (B, T, C)


def average_by_softmax(x: torch.Tensor) -> torch.Tensor:
    """The same weights as a softmax over scores; equal scores give an equal share."""
    T = x.shape[1]
    scores = torch.zeros(T, T, dtype=x.dtype, device=x.device)
    mask = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
    # exp(-inf) is 0: the future gets no share at all.
    scores = scores.masked_fill(~mask, float("-inf"))
    weights = F.softmax(scores, dim=-1)  # (T, T)
    return weights @ x  # (B, T, C)


def average_by_einops(x: torch.Tensor) -> torch.Tensor:
    """The product again, with its axes named: t gathers from every s."""
    T = x.shape[1]
    weights = torch.ones(T, T, dtype=x.dtype, device=x.device).tril()
    weights = weights / weights.sum(dim=1, keepdim=True)  # (T, T)
    return einsum(weights, x, "t s, b s c -> b t c")
