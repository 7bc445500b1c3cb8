"""Lesson 10 · attention whose heads share keys and values in groups.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, ng groups, hs head size.
"""

from lessons.errors import BadInput
from lessons.fused_attention import causal_attention
from lessons.modern.rotary import Rotary
from lessons.multi_head import head_size_for

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange


def heads_per_group(n_head: int, n_group: int) -> int:
    """How many heads share a key; raises BadInput if the heads cannot be dealt evenly."""
    if n_head % n_group:
        raise BadInput(
            f"n_head={n_head} heads cannot be dealt evenly to n_group={n_group} groups: choose a "
            "number of groups that divides the number of heads."
        )
    return n_head // n_group


class GroupedQueryAttention(nn.Module):
    """Heads in groups, one key and one value for each group, (B, T, C) -> (B, T, C).

    With as many groups as heads it is lesson 4's, with its projection.
    Ainslie et al., GQA, 2023; the norm of queries and keys: Henry et al., 2020.
    """

    def __init__(
        self, n_embd: int, n_head: int, n_group: int, rotary: Rotary | None, qk_norm: bool = False
    ):
        super().__init__()
        self.head_size = head_size_for(n_embd, n_head)
        self.query = nn.Linear(n_embd, n_embd, bias=False)
        self.key = nn.Linear(n_embd, n_group * self.head_size, bias=False)
        self.value = nn.Linear(n_embd, n_group * self.head_size, bias=False)
        self.proj = nn.Linear(n_embd, n_embd, bias=False)
        no_gain = nn.RMSNorm(self.head_size, eps=1e-5, elementwise_affine=False)
        self.rotary, self.qk_norm = rotary, no_gain if qk_norm else None
        self.n_head, self.n_group = n_head, n_group
        self.heads_per_group = heads_per_group(n_head, n_group)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # One product instead of three, and below one turn of queries and keys instead of two.
        weight = torch.cat((self.query.weight, self.key.weight, self.value.weight))
        heads = rearrange(F.linear(x, weight), "b t (n hs) -> b n t hs", hs=self.head_size)
        qk, v = heads.split((self.n_head + self.n_group, self.n_group), dim=1)
        if self.qk_norm is not None:
            qk = self.qk_norm(qk)
        if self.rotary is not None:
            qk = self.rotary(qk)
        q, k = qk.split((self.n_head, self.n_group), dim=1)  # (B, nh, T, hs), (B, ng, T, hs)
        if self.heads_per_group > 1:
            k, v = (each.repeat_interleave(self.heads_per_group, dim=1) for each in (k, v))
        out = causal_attention(q, k, v, dropout=0.0)  # (B, nh, T, hs)
        return self.proj(rearrange(out, "b n t hs -> b t (n hs)"))
