"""Plumbing · the check of lesson 5's second exercise, a gated feed-forward layer.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.checks.compare import call, close, expect, on_each
from lessons.checks.modules import build, sound, steady
from lessons.checks.verdict import Mistake, check
from lessons.feed_forward import FeedForward

import torch
import torch.nn as nn
import torch.nn.functional as F

PARTS = ("gate", "up", "down")


@check
def GatedFeedForward(answer):  # the name of the class that it checks
    """`GatedFeedForward(n_embd)`: down(relu(gate(x)) * up(x)), (B, T, C) -> (B, T, C)."""

    def look(case: str, shape: tuple) -> None:
        C = shape[-1]
        layer = build(answer, C, case=f"n_embd = {C}")
        x = torch.randn(shape, generator=torch.Generator().manual_seed(C))
        missing = [name for name in PARTS if not hasattr(layer, name)]
        if missing:
            raise Mistake(
                f"The class has no `self.{missing[0]}`: name the layers as the docstring does."
            )
        got = steady(layer, x, case)
        g, u = layer.gate(x), layer.up(x)
        right = _three_layers(layer, g, u)
        expect(got, right, case, {
            "the ReLU bends the wrong branch: it belongs to `gate`, not to `up`.":
                lambda: layer.down(g * F.relu(u)),
            "the ReLU comes after the product: only `gate` goes through it.":
                lambda: layer.down(F.relu(g * u)),
            "the two branches are added: multiply them, entry by entry.":
                lambda: layer.down(F.relu(g) + u),
            "nothing bends: `gate` goes through a ReLU before the product.":
                lambda: layer.down(g * u),
            "both branches are bent: `up` goes through as it is.":
                lambda: layer.down(F.relu(g) * F.relu(u)),
            "the gate is a sigmoid: here it is a ReLU.": lambda: layer.down(g.sigmoid() * u),
            "the gate is a GELU: here it is a ReLU.": lambda: layer.down(F.gelu(g) * u),
            "the gate is a SiLU: here it is a ReLU.": lambda: layer.down(F.silu(g) * u),
            "the gate is a LeakyReLU: here it is a ReLU.":
                lambda: layer.down(F.leaky_relu(g) * u),
            "both factors come from `gate`: `up` is never used.":
                lambda: layer.down(F.relu(g) * g),
            "both factors come from `up`: `gate` is never used.":
                lambda: layer.down(F.relu(u) * u),
            "there is no product: `up` is never used.": lambda: layer.down(F.relu(g)),
            "there is no product: `gate` is never used.": lambda: layer.down(F.relu(u)),
            "nothing bends and nothing is multiplied: `gate` is never used.":
                lambda: layer.down(u),
            "the end goes through a ReLU too: `down` comes last.":
                lambda: F.relu(layer.down(F.relu(g) * u)),
            "x is added: that skip comes in lesson 6, here the layer stands alone.":
                lambda: layer.down(F.relu(g) * u) + x,
        })  # fmt: skip
        sound(layer, x, lambda it, x: it.down(F.relu(it.gate(x)) * it.up(x)), case)
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (layer, FeedForward(C)))
        if abs(ours / theirs - 1) > 0.1:
            raise Mistake(
                f"For C = {C} it has {ours:,} parameters, and `FeedForward` {theirs:,}. "
                + _too_many(layer, u.shape[-1])
            )
        _look_at_closed(layer, x.abs() + 1, case)

    # T = 1 comes last: there a mistake in the axes is easily missed.
    shapes = [(2, 5, 12), (3, 4, 32), (2, 1, 24)]
    on_each({f"x of shape {s}": s for s in shapes}, look)


def _look_at_closed(layer: nn.Module, x: torch.Tensor, case: str) -> None:
    """The docstring's example: where `gate(x)` is below 0, the bias of `down` is all that is left.

    x is above 0 everywhere, and the layer is of no use afterwards.
    """
    with torch.no_grad():
        for p in layer.gate.parameters() if isinstance(layer.gate, nn.Module) else ():
            p.fill_(-1)
        g = layer.gate(x)
        if (g < 0).all():  # not a gate of an unforeseen form
            nothing = layer.down(torch.zeros_like(g))
            expect(call(layer, x, case=case), nothing, f"{case}, with `gate(x)` below 0", {})


def _three_layers(layer: nn.Module, g: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    """down(relu(g) * u); raises Mistake unless gate, up and down are three layers that fit."""
    if g.shape != u.shape:
        raise Mistake(
            f"`gate` makes {g.shape[-1]} numbers of each position and `up` {u.shape[-1]}: for a "
            "product entry by entry both make as many."
        )
    try:
        out = layer.down(F.relu(g) * u)
    except RuntimeError:
        raise Mistake(
            f"`down` does not take {g.shape[-1]} numbers, as many as the product has."
        ) from None
    known = dict(layer.named_parameters())
    for name, made in zip(PARTS, (g, u, out), strict=True):
        part = getattr(layer, name)
        own = part.parameters() if isinstance(part, nn.Module) else known.values()
        if not _reached(made, list(own)):
            raise Mistake(
                f"`{name}` has no parameters that PyTorch would train: make it an `nn.Linear`, "
                f"as `self.{name} = …` in `__init__`."
            )
    if close(g, u):
        raise Mistake("`gate` and `up` are the same layer: make two, with weights of their own.")
    if isinstance(layer.gate, nn.Module) and isinstance(layer.up, nn.Module):
        ups = {id(p) for p in layer.up.parameters()}
        shared = [name for name, p in layer.gate.named_parameters() if id(p) in ups]
        if shared:
            raise Mistake(f"`gate` and `up` share their `{shared[0]}`: give each its own.")
    return out


def _reached(out: torch.Tensor, parameters: list[nn.Parameter]) -> bool:
    if not parameters or not out.requires_grad:
        return False
    found = torch.autograd.grad(out.sum(), parameters, allow_unused=True, retain_graph=True)
    return any(gradient is not None for gradient in found)


def _too_many(layer: nn.Module, width: int) -> str:
    """Why a gated layer that computes the right thing has another number of parameters."""
    matrices = sum(p.dim() == 2 for p in layer.parameters())
    if matrices != 3:
        return f"It has {matrices} matrices of weights: one each for `gate`, `up` and `down`."
    return (
        f"It is {width} wide in the middle: with three matrices instead of two "
        "the middle should be about 8C / 3 wide."
    )
