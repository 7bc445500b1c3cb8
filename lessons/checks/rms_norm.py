"""Plumbing · the check of lesson 7's second exercise, RMSNorm.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.checks.compare import call, expect, on_each, shape_of
from lessons.checks.modules import build, sound, steady
from lessons.checks.verdict import Mistake, check

import torch


@check
def RMSNorm(answer):  # the name of the class that it checks
    """`RMSNorm(n_embd, eps)`: each position divided by its root mean square, times a gain."""

    def look(case: str, sizes: tuple) -> None:
        shape, scale = sizes
        C = shape[-1]
        layer = build(answer, C, case=f"n_embd = {C}")
        x = scale * (3 * torch.randn(shape, generator=torch.Generator().manual_seed(C)) + 1)
        parameters = sum(p.numel() for p in layer.parameters())
        if parameters != C:
            raise Mistake(
                f"For n_embd = {C} it has {parameters} parameters: one gain for each channel, an "
                "`nn.Parameter` of ones, and no bias."
            )
        expect(steady(layer, x, case), x * _square(x) ** -0.5, case, _mistakes(layer, x))
        gains = torch.arange(2.0, C + 2)
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(gains)
        got = call(layer, x, case=case)
        expect(got, gains * x * _square(x) ** -0.5, f"{case} and gains 2, 3, 4 …", {
            "the gain is never used: it should multiply the channels, at the end.":
                x * _square(x) ** -0.5,
            "the gain divides the channels, and should multiply them.":
                x * _square(x) ** -0.5 / gains,
            "the gain multiplies x before the norm, and so counts in the mean square too: multiply "
            "the channels at the end.": gains * x * _square(gains * x) ** -0.5,
            "the channels are multiplied by the square of the gain.":
                gains**2 * x * _square(x) ** -0.5,
        })  # fmt: skip
        if not call(layer, torch.zeros(1, 1, C), case="zeros").isfinite().all():
            raise Mistake("For a position of zeros it gives NaN: add eps before the root.")
        sound(layer, x, lambda it, x: _gain(it) * x * _square(x) ** -0.5, case)

    # In the second one x is as small as eps, so that it matters where eps is added.
    sizes = [((2, 3, 5), 1), ((3, 5, 7), 0.001), ((2, 1, 4), 1)]
    on_each({f"x of shape {shape}": (shape, scale) for shape, scale in sizes}, look)
    x = torch.tensor([[[3.0, 4.0]]])
    for eps in (0.5, 1e-5):
        layer = build(answer, 2, eps, case=f"n_embd = 2, eps = {eps}")
        right = x / (12.5 + eps) ** 0.5
        expect(call(layer, x, case=shape_of(x)), right, f"the row (3, 4), eps = {eps}", {
            "eps is not used.": x / (12.5 + 1e-5) ** 0.5,
        })  # fmt: skip


def _square(x: torch.Tensor, dim=-1, eps: float = 1e-5) -> torch.Tensor:
    return x.pow(2).mean(dim=dim, keepdim=True) + eps


def _gain(layer: torch.nn.Module) -> torch.Tensor:
    """All C parameters of an RMSNorm, however they are kept."""
    return torch.cat([p.flatten() for p in layer.parameters()])


def _mistakes(layer: torch.nn.Module, x: torch.Tensor) -> dict[str, object]:
    """What an RMSNorm with a mistake makes of x."""
    centred = x - x.mean(dim=-1, keepdim=True)
    right = x * _square(x) ** -0.5
    return {
        "the mean is subtracted: that is layer norm.": centred * _square(centred) ** -0.5,
        "it is divided by the standard deviation, which leaves out the mean: take the mean of x² "
        "itself.": x * _square(centred) ** -0.5,
        "it is divided by the standard deviation, and with n - 1: take the mean of x² itself.":
            lambda: x * (x.var(dim=-1, keepdim=True) + 1e-5) ** -0.5,
        "eps is added to the root: add it to the mean square, before the root.":
            x / (_square(x, eps=0).sqrt() + 1e-5),
        "eps is missing: add it to the mean square, before the root.":
            x * _square(x, eps=0) ** -0.5,
        "it is divided by the mean square: take its root.": x / _square(x),
        "it is multiplied by the root mean square: divide.": x * _square(x).sqrt(),
        "it is divided by the mean distance from 0: take the root of the mean of x².":
            x / (x.abs().mean(dim=-1, keepdim=True) + 1e-5),
        "the mean is squared: take the mean of the squares.":
            x * (x.mean(dim=-1, keepdim=True) ** 2 + 1e-5) ** -0.5,
        "the mean is over the positions instead of the channels: dim=-1.":
            x * _square(x, 1) ** -0.5,
        "the mean is over the batch instead of the channels: dim=-1.":
            x * _square(x, 0) ** -0.5,
        "the mean is over positions and channels: each position has its own, dim=-1.":
            x * _square(x, (1, 2)) ** -0.5,
        "the mean is over everything at once: one for each position, dim=-1.":
            x * _square(x, (0, 1, 2)) ** -0.5,
        "the squares are added and not averaged.":
            x * (x.pow(2).sum(dim=-1, keepdim=True) + 1e-5) ** -0.5,
        "x is added: the skip belongs to the block, not to the norm.": x + right,
        "the gain begins at 1 and is multiplied as 1 + gain, so all is twice as large.": 2 * right,
        "the gain does not begin at 1: an `nn.Parameter` of ones.": lambda: _gain(layer) * right,
    }  # fmt: skip
