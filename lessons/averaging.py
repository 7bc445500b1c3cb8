"""Lesson 2 · one idea four ways: each position becomes the mean of itself and its past.

Shapes: B batch, T time (positions), C channels, V vocab_size. All four functions:
(B, T, C) -> (B, T, C).
"""

import torch
import torch.nn as nn
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
    shares = torch.ones(T, T, dtype=x.dtype, device=x.device).tril()
    shares = shares / shares.sum(dim=1, keepdim=True)  # (T, T)
    return shares @ x  # (T, T) @ (B, T, C) -> (B, T, C)


def average_by_softmax(x: torch.Tensor) -> torch.Tensor:
    """The same shares as a softmax over scores: equal scores give equal ones."""
    T = x.shape[1]
    scores = torch.zeros(T, T, dtype=x.dtype, device=x.device)
    mask = torch.ones(T, T, dtype=torch.bool, device=x.device).tril()
    # exp(-inf) is 0: the future gets no share at all.
    scores = scores.masked_fill(~mask, float("-inf"))
    shares = F.softmax(scores, dim=-1)  # (T, T)
    return shares @ x  # (B, T, C)


def average_by_einops(x: torch.Tensor) -> torch.Tensor:
    """The product again, with its axes named: t gathers from every s."""
    T = x.shape[1]
    shares = torch.ones(T, T, dtype=x.dtype, device=x.device).tril()
    shares = shares / shares.sum(dim=1, keepdim=True)  # (T, T)
    return einsum(shares, x, "t s, b s c -> b t c")


class AveragingLanguageModel(nn.Module):
    """All characters so far vote on the next, by fixed or learned shares, (B, T) -> (B, T, V)."""

    def __init__(self, vocab_size: int, block_size: int, learn: bool):
        super().__init__()
        self.block_size = block_size
        self.token_embedding = nn.Embedding(vocab_size, vocab_size)
        nn.init.zeros_(self.token_embedding.weight)
        self.scores = nn.Parameter(torch.zeros(block_size, block_size), requires_grad=learn)

    def shares(self, T: int) -> torch.Tensor:
        """Row t holds the shares of positions 0 to t, (T, T)."""
        mask = torch.ones(T, T, dtype=torch.bool, device=self.scores.device).tril()
        return F.softmax(self.scores[:T, :T].masked_fill(~mask, float("-inf")), dim=-1)  # (T, T)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        votes = self.token_embedding(idx)  # (B, T, V)
        logits = self.shares(idx.shape[1]) @ votes  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
