"""Lesson 4 · many heads: first as a list, then all at once.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, hs head size; C = nh * hs.
"""

from lessons.attention import Head
from lessons.errors import BadInput

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange


def head_size_for(n_embd: int, n_head: int) -> int:
    """Channels per head; raises BadInput if the heads cannot share the channels evenly."""
    if n_embd % n_head:
        raise BadInput(
            f"n_embd={n_embd} channels cannot be shared evenly by n_head={n_head} heads: "
            "choose n_embd as a multiple of n_head."
        )
    return n_embd // n_head


class MultiHeadAttention(nn.Module):
    """A list of heads side by side, their outputs joined, (B, T, C) -> (B, T, C)."""

    def __init__(self, n_embd: int, n_head: int, block_size: int):
        super().__init__()
        head_size = head_size_for(n_embd, n_head)
        self.heads = nn.ModuleList(Head(n_embd, head_size, block_size) for _ in range(n_head))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([head(x) for head in self.heads], dim=-1)  # nh times (B, T, hs)


class CausalSelfAttention(nn.Module):
    """The same heads in one go: the head is just one more axis, (B, T, C) -> (B, T, C)."""

    def __init__(self, n_embd: int, n_head: int):
        super().__init__()
        head_size_for(n_embd, n_head)
        self.n_head = n_head
        # Row block h of each matrix is head h's own.
        self.query = nn.Linear(n_embd, n_embd, bias=False)
        self.key = nn.Linear(n_embd, n_embd, bias=False)
        self.value = nn.Linear(n_embd, n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            rearrange(linear(x), "b t (nh hs) -> b nh t hs", nh=self.n_head)
            for linear in (self.query, self.key, self.value)
        )
        # Scale, mask, softmax and the sum over values, as in Head, in one call.
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, nh, T, hs)
        return rearrange(out, "b nh t hs -> b t (nh hs)")


def all_at_once(attention: MultiHeadAttention) -> CausalSelfAttention:
    """The CausalSelfAttention that has the weights of this list of heads."""
    heads = attention.heads
    hs, n_embd = heads[0].query.weight.shape
    fused = CausalSelfAttention(n_embd, len(heads))
    with torch.no_grad():
        for name in ("query", "key", "value"):
            weights = torch.cat([getattr(head, name).weight for head in heads])  # (C, C)
            getattr(fused, name).weight.copy_(weights)
    return fused
