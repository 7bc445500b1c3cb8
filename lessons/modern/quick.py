"""Plumbing · the same norms and attention in less time, for runs against the clock on a CPU.

Shapes: B batch, T time (positions), C channels, G groups, h heads of a group, hs head size.
"""

from lessons.modern.grouped_query import GroupedQueryAttention
from lessons.modern.model import ModernGPT

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange


class DividedByRMS(torch.autograd.Function):
    """x / sqrt(mean of x² + eps) along the last axis, (..., C) -> (..., C)."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, eps: float) -> torch.Tensor:
        """Keep the result and what x was multiplied by, which is all that the slope needs."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (..., 1)
        factor = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        out = x * factor
        ctx.save_for_backward(out, factor)
        return out

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """What points along the result changes its size alone, which is divided away."""
        out, factor = ctx.saved_tensors
        along = (gradient * out).mean(dim=-1, keepdim=True)  # (..., 1)
        return torch.addcmul(gradient, out, along, value=-1).mul_(factor), None


class QuickRMSNorm(nn.Module):
    """`RMSNorm` with the same weight, or with none, (..., C) -> (..., C)."""

    def __init__(self, eps: float, weight: nn.Parameter | None = None):
        super().__init__()
        self.eps, self.weight = eps, weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = DividedByRMS.apply(x, self.eps)
        return out if self.weight is None else out * self.weight


class QuickAttention(nn.Module):
    """`GroupedQueryAttention` with the same weights, its scores written out, (B, T, C) -> same.

    For windows this short PyTorch's fused attention is slower, and it wants the keys copied for
    each head of a group. Here a group's queries stand below one another and meet one key.
    """

    def __init__(self, attn: GroupedQueryAttention, block_size: int):
        super().__init__()
        self.query, self.key, self.value, self.proj = attn.query, attn.key, attn.value, attn.proj
        self.qk_norm = attn.qk_norm and QuickRMSNorm(attn.qk_norm.eps)
        self.rotary, self.head_size = attn.rotary, attn.head_size
        self.n_head, self.n_group = attn.n_head, attn.n_group
        future = torch.full((block_size, block_size), float("-inf")).triu(1)  # (T, T)
        self.register_buffer("future", future, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        T, h = x.shape[1], self.n_head // self.n_group
        weight = torch.cat((self.query.weight, self.key.weight, self.value.weight))
        heads = rearrange(F.linear(x, weight), "b t (n hs) -> b n t hs", hs=self.head_size)
        qk, v = heads.split((self.n_head + self.n_group, self.n_group), dim=1)
        qk = self.rotary(self.qk_norm(qk) if self.qk_norm else qk)
        q, k = qk.split((self.n_head, self.n_group), dim=1)
        q = rearrange(q, "b (g h) t hs -> (b g) (h t) hs", h=h)
        k, v = (rearrange(each, "b g t hs -> (b g) t hs") for each in (k, v))
        future = self.future[:T, :T].repeat(h, 1)  # (h * T, T)
        scores = torch.baddbmm(future, q, k.mT, alpha=self.head_size**-0.5)  # (B * G, h * T, T)
        out = scores.softmax(dim=-1) @ v  # (B * G, h * T, hs)
        return self.proj(rearrange(out, "(b g) (h t) hs -> b t (g h hs)", g=self.n_group, h=h))


def quicken(gpt: ModernGPT) -> None:
    """Puts quick norms and attention in place of all of `gpt`'s; what it computes is the same."""
    for block in gpt.body:
        block.ln_1 = QuickRMSNorm(block.ln_1.eps, block.ln_1.weight)
        block.ln_2 = QuickRMSNorm(block.ln_2.eps, block.ln_2.weight)
        block.attn = QuickAttention(block.attn, gpt.block_size)
    gpt.ln_f = QuickRMSNorm(gpt.ln_f.eps, gpt.ln_f.weight)
