"""Plumbing · PyTorch's fused attention, in the number format in which it is fast.

Shapes: B batch, T time (positions), nh heads, hs head size.
"""

import torch
import torch.nn.functional as F


def causal_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, dropout: float
) -> torch.Tensor:
    """scaled_dot_product_attention with the causal mask: three (B, nh, T, hs) -> (B, nh, T, hs)."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        # PyTorch's CPU kernel is slower backward in bfloat16 than in float32.
        with torch.autocast("cpu", enabled=False):
            return causal_attention(q.float(), k.float(), v.float(), dropout)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
