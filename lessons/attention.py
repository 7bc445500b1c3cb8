"""Lesson 3 · one head of causal self-attention.

Shapes: B batch, T time (positions), C channels (n_embd), hs head size.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Head(nn.Module):
    """One head: every position gathers from itself and its past, (B, T, C) -> (B, T, hs)."""

    def __init__(self, n_embd: int, head_size: int, block_size: int):
        super().__init__()
        self.query = nn.Linear(n_embd, head_size, bias=False)  # what am I looking for?
        self.key = nn.Linear(n_embd, head_size, bias=False)  # what do I contain?
        self.value = nn.Linear(n_embd, head_size, bias=False)  # what do I hand over?
        # A buffer moves with .to(device) but is never trained.
        self.register_buffer("tril", torch.ones(block_size, block_size).tril())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        q, k, v = self.query(x), self.key(x), self.value(x)  # each (B, T, hs)
        # Unscaled, the scores' variance grows with hs and the softmax saturates.
        attn_scores = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5  # (B, T, T)
        # Mask before the softmax: each row must still sum to 1 over what it may see.
        attn_scores = attn_scores.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        attn_weights = F.softmax(attn_scores, dim=-1)  # (B, T, T)
        return attn_weights @ v  # (B, T, hs)
