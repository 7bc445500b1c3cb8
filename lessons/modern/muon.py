"""Lesson 10 · Muon: steps whose directions all have the same length.

Shapes: G matrices of one shape, m rows, n columns.
"""

from lessons.errors import BadInput

import torch

# Jordan et al., Muon, 2024: they bring any singular value to between 0.7 and 1.2 in five steps.
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Brings all singular values near 1 and keeps the directions, (G, m, n) -> (G, m, n).

    Newton-Schulz iteration: an odd polynomial of the matrix is that polynomial of its singular
    values, so no decomposition is needed.
    """
    x = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # now no singular value is above 1
    # What x becomes is a polynomial of `square` times x, and `square` has the smaller side: so
    # gather the polynomial, and multiply x by it once.
    square = x @ x.mT  # (G, m, m)
    gathered = torch.eye(square.shape[-1]).expand_as(square)
    for _ in range(steps):
        factor = A * torch.eye(square.shape[-1]) + B * square + C * square @ square
        gathered = factor @ gathered
        square = factor @ square @ factor
    x = gathered @ x
    return x if matrices.shape[-2] <= matrices.shape[-1] else x.mT


class Muon(torch.optim.Optimizer):
    """Momentum whose every matrix is orthogonalised before it is a step; for matrices alone.

    A step moves each matrix by `lr` in every direction, whatever the gradient's size. With `rows`,
    each matrix is cut into blocks of so many rows, and each block is orthogonalised by itself: of
    queries, keys and values such a block may be a head. The smaller a block, the cheaper. `steps`
    are those of the iteration.
    """

    def __init__(
        self, params, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0,
        rows: int | None = None, steps: int = 5,
    ):  # fmt: skip
        params = list(params)
        for p in params:
            if p.dim() != 2:
                raise BadInput(
                    f"Muon was given a tensor of shape {tuple(p.shape)}: it takes matrices alone; "
                    "leave biases, gains and tables to AdamW."
                )
            if rows and p.shape[0] % rows:
                raise BadInput(
                    f"{p.shape[0]} rows cannot be cut into blocks of {rows}: choose a divisor."
                )
        self.rows, self.steps = rows, steps
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        """One step from the gradients that `backward` left; equal shapes go in one product."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for (m, n), weights in by_shape.items():
                rows = self.rows or m
                averaged = torch.stack([self._averaged(p, group) for p in weights])  # (G, m, n)
                flat = orthogonalise(averaged.view(-1, rows, n), self.steps).view_as(averaged)
                # An orthogonal step on a tall matrix would move its outputs less.
                size = group["lr"] * max(1, rows / n) ** 0.5
                for p, step in zip(weights, flat, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(step, alpha=-size)

    def _averaged(self, p: torch.Tensor, group: dict) -> torch.Tensor:
        """The gradient and its running mean, mixed: Nesterov's momentum."""
        state = self.state[p]
        mean = state.setdefault("mean", torch.zeros_like(p))
        mean.lerp_(p.grad, 1 - group["momentum"])
        return p.grad.lerp(mean, group["momentum"])
