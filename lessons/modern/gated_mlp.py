"""Lesson 10 · two other feed-forward layers: a gated one, and a squared ReLU.

Shapes: B batch, T time (positions), C channels (n_embd), H hidden channels.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class GatedMLP(nn.Module):
    """SwiGLU: one branch decides how much of the other passes, (B, T, C) -> (B, T, C).

    Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, n_embd: int, n_hidden: int):
        super().__init__()
        self.gate = nn.Linear(n_embd, n_hidden, bias=False)
        self.up = nn.Linear(n_embd, n_hidden, bias=False)
        self.down = nn.Linear(n_hidden, n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class SquaredReLU(torch.autograd.Function):
    """relu(x)², any shape, in fewer passes than autograd makes: its slope is 2 relu(x)."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        """Keep relu(x), which is all that the slope needs."""
        positive = F.relu(x)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        """The loss's slope by x, from its slope by relu(x)²."""
        (positive,) = ctx.saved_tensors
        return (gradient * positive).mul_(2)


class SquaredReLUMLP(nn.Module):
    """Lesson 5's layer with the ReLU squared and no biases, (B, T, C) -> (B, T, C).

    So et al., Primer, 2021.
    """

    def __init__(self, n_embd: int, n_hidden: int):
        super().__init__()
        self.up = nn.Linear(n_embd, n_hidden, bias=False)
        self.down = nn.Linear(n_hidden, n_embd, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(SquaredReLU.apply(self.up(x)))
