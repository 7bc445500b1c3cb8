"""Lesson 5 · after communication, computation: each position thinks on its own.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import torch
import torch.nn as nn


class FeedForward(nn.Module):
    """Widen, bend, narrow, the same at every position, (B, T, C) -> (B, T, C)."""

    def __init__(self, n_embd: int, activation: type[nn.Module] = nn.ReLU):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(n_embd, 4 * n_embd),  # (B, T, 4C)
            activation(),  # without a bend, two linear layers are one
            nn.Linear(4 * n_embd, n_embd),  # (B, T, C)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)
