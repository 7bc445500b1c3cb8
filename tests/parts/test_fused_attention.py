"""Attention by PyTorch's fused kernel."""

from lessons.at_scale.precision import autocast
from lessons.fused_attention import causal_attention

import torch
import torch.nn.functional as F


def test_attention_in_half_precision_on_a_cpu_is_that_in_float32():
    q, k, v = torch.randn(3, 2, 2, 8, 4).to(torch.bfloat16)
    with autocast(torch.device("cpu"), torch.bfloat16):
        out = causal_attention(q, k, v, 0.0)
    wanted = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)
    assert out.dtype == torch.float32 and torch.equal(out, wanted)
