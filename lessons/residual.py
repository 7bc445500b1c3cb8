"""Lesson 6 · skip connections: each layer adds to the stream instead of replacing it.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.feed_forward import FeedForward
from lessons.multi_head import CausalSelfAttention

import torch
import torch.nn as nn


class ResidualBlock(nn.Module):
    """Attention, then feed-forward, each added to the stream, (B, T, C) -> (B, T, C)."""

    def __init__(self, n_embd: int, n_head: int, dropout: float = 0.0):
        super().__init__()
        self.attn = CausalSelfAttention(n_embd, n_head)
        # Back into the stream: mixes what the heads found, each in channels of its own.
        self.proj = nn.Linear(n_embd, n_embd)
        self.mlp = FeedForward(n_embd)
        self.dropout = nn.Dropout(dropout)

    def communicate(self, x: torch.Tensor) -> torch.Tensor:
        """What each position learns from its past, (B, T, C) -> (B, T, C)."""
        return self.dropout(self.proj(self.attn(x)))

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """What each position makes of it on its own, (B, T, C) -> (B, T, C)."""
        return self.dropout(self.mlp(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.communicate(x)
        return x + self.compute(x)
