"""Lesson 7 · layer norm, and whether it stands after each step or before it.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.residual import ResidualBlock

import torch
import torch.nn as nn


class LayerNorm(nn.Module):
    """Each position to mean 0 and variance 1 over its channels, (B, T, C) -> (B, T, C).

    Ba, Kiros and Hinton, Layer Normalization, 2016.
    """

    def __init__(self, n_embd: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(n_embd))
        self.bias = nn.Parameter(torch.zeros(n_embd))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(dim=-1, keepdim=True)  # (B, T, 1)
        variance = x.var(dim=-1, keepdim=True, unbiased=False)  # (B, T, 1)
        # eps keeps a position whose channels are all equal from dividing by 0.
        normed = (x - mean) / (variance + self.eps).sqrt()  # (B, T, C)
        return normed * self.weight + self.bias


class PostNormBlock(ResidualBlock):
    """Norm after each addition, on the stream itself, (B, T, C) -> (B, T, C).

    Vaswani et al., Attention Is All You Need, 2017.
    """

    def __init__(self, n_embd: int, n_head: int, dropout: float = 0.0):
        super().__init__(n_embd, n_head, dropout)
        # PyTorch's own from here on: equal to the one above, and faster.
        self.ln_1 = nn.LayerNorm(n_embd)
        self.ln_2 = nn.LayerNorm(n_embd)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.ln_1(x + self.communicate(x))
        return self.ln_2(x + self.compute(x))


class PreNormBlock(PostNormBlock):
    """The same parts, but norm before each step: the stream stays a plain sum.

    Xiong et al., On Layer Normalization in the Transformer Architecture, 2020.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.communicate(self.ln_1(x))
        return x + self.compute(self.ln_2(x))
