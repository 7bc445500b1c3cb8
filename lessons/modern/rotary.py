"""Plumbing · rotary position embedding: a position is an angle.

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
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        T = x.shape[-2]
        cos, sin = self.cos[:T], self.sin[:T]  # each (T, hs/2)
        a, b = x.chunk(2, dim=-1)  # each (B, nh, T, hs/2)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
