"""Plumbing · the check of lesson 6's second exercise, a block that throws dice.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import functools

from lessons.checks.compare import close, expect, on_each
from lessons.checks.dice import (
    NAMES,
    WAYS,
    fair_dice,
    outcome,
    outcomes,
    standing_in,
)
from lessons.checks.modules import build, output_and_input, trainable, used
from lessons.checks.verdict import Mistake, check
from lessons.residual import ResidualBlock

import torch
import torch.nn as nn

PARTS = ("communicate", "compute", "attn", "proj", "mlp", "dropout")


@check
def StochasticDepthBlock(answer):  # the name of the class that it checks
    """`StochasticDepthBlock(n_embd, n_head, drop)`: leaves out whole additions in training."""

    def made(drop: float, C: int = 10, n_head: int = 2) -> nn.Module:
        """A block with all the parts of a ResidualBlock."""
        case = f"n_embd = {C}, n_head = {n_head}, drop = {drop:g}"
        block = build(answer, C, n_head, drop, case=case)
        # Not isinstance: the lesson has a ResidualBlock of its own, line for line the module's.
        if not all(hasattr(block, n) for n in PARTS):
            raise Mistake("Derive the class from `ResidualBlock`: it has all the parts.")
        return block

    def look(case: str, sizes: tuple) -> None:
        (B, T, C), n_head, drop = sizes
        x = torch.randn(B, T, C, generator=torch.Generator().manual_seed(6))
        block = made(drop, C, n_head)
        _in_use(block, x, drop)
        _in_training(block, x)

    # Roots, squares and complements of the probabilities are all different.
    sizes = [((3, 7, 10), 2, 0.4), ((2, 1, 15), 3, 0.25), ((2, 3, 5), 1, 0.0)]
    on_each({f"x of shape {s}, nh = {nh}, drop = {p}": (s, nh, p) for s, nh, p in sizes}, look)
    fair_dice(made, torch.ones(3, 7, 10))


def _other_order(block: nn.Module, x: torch.Tensor, keep: float) -> torch.Tensor:
    y = x + keep * ResidualBlock.compute(block, x)
    return y + keep * ResidualBlock.communicate(block, y)


def _in_use(block: nn.Module, x: torch.Tensor, drop: float) -> None:
    """Raise Mistake unless in use each addition is there, times 1 - drop, and can be trained."""
    block.eval()
    keep, case = 1 - drop, f"T = {x.shape[1]} and a block in use, drop = {drop}"
    out, leaf = output_and_input(block, x, case)
    with torch.no_grad():
        others = torch.stack([block(x) for _ in range(20)])
    if not close(others, out.expand_as(others)):
        raise Mistake("In `eval()` two calls differ: nothing may be left out in use.")

    made = functools.partial(outcome, block, x)
    expect(out, made(keep, keep), case, {
        "both additions are kept whole. In use each is multiplied by 1 - drop, and in training "
        "nothing is scaled up.": made(1, 1),
        "the additions are multiplied by drop, and they are kept with probability 1 - drop.":
            made(drop, drop),
        "the additions are divided by 1 - drop: multiply.": made(1 / keep, 1 / keep),
        "both additions are left out.": x,
        "the skip is scaled down too: scale only what is added.": made(keep, keep, keep),
        "the result is scaled down, and x with it: scale only what is added.": keep * made(1, 1),
        "the skip is missing.": made(keep, keep, 0),
        "only the first of the two additions is multiplied by 1 - drop.": made(keep, 1),
        "only the second of the two additions is multiplied by 1 - drop.": made(1, keep),
        "the second addition is computed from x, and not from the result of the first.":
            made(keep, keep, first=True),
        "`compute` comes first: attention, `communicate`, goes before it.":
            _other_order(block, x, keep),
        "the additions are multiplied by 0.9, whatever drop is: it should be 1 - drop.":
            made(0.9, 0.9),
    })  # fmt: skip
    right = outcome(block, leaf, keep, keep)
    trainable(block, leaf, out, right, case)
    used(block, leaf, right)


def _in_training(block: nn.Module, x: torch.Tensor) -> None:
    """Raise Mistake unless every call keeps an addition whole or leaves it out, with gradients."""
    block.train()
    possible = {way: outcome(block, x, *way) for way in WAYS}
    for _ in range(20):  # enough to meet each of them, or all but one
        out, leaf = output_and_input(block, x, "a block in training")
        way = next((way for way in possible if close(out, possible[way])), None)
        if way:
            del possible[way]
            kept = " and ".join(n for n, k in zip(NAMES, way, strict=True) if k) or "nothing"
            right = outcome(block, leaf, *way)
            trainable(block, leaf, out, right, f"a call in training that keeps {kept}")
        if len(possible) == 1:
            break
    if outcomes(block, x, 40, {}) is None:
        raise Mistake(f"In training {_odd(block, x)}")


def _odd(block: nn.Module, x: torch.Tensor) -> str:
    """Why an output in training is none of the four possible ones."""
    parts = (block.proj, ResidualBlock.communicate), (block.mlp, ResidualBlock.compute)
    for n, name in enumerate(NAMES):
        with standing_in({parts[1 - n][0]: torch.zeros_like}):
            added = parts[n][1](block, x)
            for _ in range(40):
                reason = _odd_addition(block(x), x, added)
                if reason:
                    return f"{reason.format(name)}. Each addition is whole, or left out."
    with torch.no_grad():
        outs = [block(x) for _ in range(40)]
        from_x = outcome(block, x, 1, 1, first=True)
    if any(close(out, from_x) for out in outs):
        return "the second addition is computed from x, and not from the result of the first."
    return "the output is none of four: x with none, one or both of the additions."


def _odd_addition(out: torch.Tensor, x: torch.Tensor, added: torch.Tensor) -> str | None:
    """What is odd about a call in which only one addition, {}, was possible."""
    if close(out, added) or not out.any():
        return "the skip is left out, and x itself must always stay, with or without {}"
    factor = (out - x) / added
    low, high = factor.min().item(), factor.max().item()
    if high - low < 1e-3:
        if min(abs(low), abs(low - 1)) < 1e-3:
            return None
        how = "scaled down" if low < 1 else "enlarged"
        return f"the additions are {how}: that of {{}} is multiplied by {low:.3g}"
    for axes, each in (((1, 2), "sequence"), ((0, 2), "position"), ((2,), "position"),
                       ((0, 1), "channel")):  # fmt: skip
        if (factor.amax(axes) - factor.amin(axes)).max() < 1e-3:
            return f"each {each} has a throw of its own for {{}}: throw once for the whole batch"
    return "single entries of what {} adds are left out or changed"
