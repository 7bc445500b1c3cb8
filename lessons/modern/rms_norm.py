"""Lesson 10 · RMSNorm: a layer norm without the mean and without the bias.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import torch
import torch.nn as nn


class RMSNorm(nn.Module):
    """Each position divided by its root mean square, times a gain, (B, T, C) -> (B, T, C).

    Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    def __init__(self, n_embd: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_embd))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean_square = x.pow(2).mean(dim=-1, keepdim=True)  # (B, T, 1)
        return x * (mean_square + self.eps).rsqrt() * self.weight
