"""Lesson 10 · rotary position embedding: a position is an angle.

Shapes: B batch, nh heads, T time (positions), hs head size.
"""

from lessons.errors import BadInput

import torch
import torch.nn as nn


class Rotary(nn.Module):
    """Turns each pair of channels by its position's angle, (B, nh, T, hs) -> (B, nh, T, hs).

    Channel i is paired with channel i + hs/2. Su et al., RoFormer, 2021.
    """

    def __init__(self, head_size: int, block_size: int, base: float = 10_000.0):
        super().__init__()
        if head_size % 2:
            raise BadInput(
                f"The head size is {head_size}: rotary positions turn pairs of channels, so it "
                "must be even."
            )
        # From one radian per position down to almost none: near and far places both show.
        speeds = base ** (-torch.arange(0, head_size, 2) / head_size)  # (hs/2,)
        angles = torch.outer(torch.arange(block_size), speeds)  # (T, hs/2)
        # A pair (a, b) becomes (a cos - b sin, b cos + a sin).
        cos, sin = angles.cos(), angles.sin()
        self.register_buffer("cos", torch.cat((cos, cos), dim=-1), persistent=False)  # (T, hs)
        self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        T, hs = x.shape[-2:]
        partner = x.roll(hs // 2, dims=-1)
        return x * self.cos[:T] + partner * self.sin[:T]
