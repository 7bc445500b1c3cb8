"""Plumbing · checks of lesson 5's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import itertools

from lessons.checks.again import run_again
from lessons.checks.bands import recorded, said
from lessons.checks.compare import as_tensor, call, expect, on_each
from lessons.checks.plausible import fair, same_start, vocabulary
from lessons.checks.tables import label, rows_of
from lessons.checks.verdict import Mistake, check
from lessons.feed_forward import FeedForward
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention

import torch
import torch.nn as nn
import torch.nn.functional as F


@check
def relu_unit(answer):
    """`relu_unit()`: weights (3,) and bias; relu(w·x + b) is 1 for a and c without b, else 0."""
    got = call(answer, case="no input")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake("Return two things: a list of three weights, and a bias.")
    weights, bias = (as_tensor(value, "no input") for value in got)
    if weights.shape != (3,) or bias.numel() != 1:
        n = f"{weights.numel()} and {bias.numel()}"
        raise Mistake(f"Three weights and one bias are needed, and there are {n} numbers.")
    # Fewest inputs first, so that the simplest failure is the one reported.
    for x in sorted(itertools.product((0, 1), repeat=3), key=sum):
        value = F.relu(weights @ torch.tensor(x, dtype=torch.double) + bias).item()
        if abs(value - (x == (1, 0, 1))) < 1e-6:
            continue
        said = f"For (a, b, c) = {x} the unit gives {value:.4g}"
        if x == (0, 0, 0):
            raise Mistake(f"{said}, and it should be off: the bias alone switches it on.")
        if x == (1, 0, 1):
            raise Mistake(f"{said}, and it should be exactly 1.")
        if x[1] == 1:
            raise Mistake(f"{said}, and it should be off: b must pull it down to 0 or below.")
        raise Mistake(f"{said}, and it should be off: a or c alone must not be enough.")


@check
def GatedFeedForward(answer):  # the name of the class that it checks
    """`GatedFeedForward(n_embd)`: down(relu(gate(x)) * up(x)), (B, T, C) -> (B, T, C)."""

    def look(case: str, shape: tuple) -> None:
        C = shape[-1]
        layer = call(answer, C, case=f"n_embd = {C}")
        x = torch.randn(shape, generator=torch.Generator().manual_seed(C))
        missing = [name for name in ("gate", "up", "down") if not hasattr(layer, name)]
        if missing:
            raise Mistake(
                f"The class has no `self.{missing[0]}`: name the layers as the docstring does."
            )
        got = call(layer, x, case=case)
        g, u = layer.gate(x), layer.up(x)
        expect(got, layer.down(F.relu(g) * u), case, {
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
            "x is added: that skip comes in lesson 6, here the layer stands alone.":
                lambda: layer.down(F.relu(g) * u) + x,
        })  # fmt: skip
        ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (layer, FeedForward(C)))
        if abs(ours / theirs - 1) > 0.1:
            raise Mistake(
                f"For C = {C} it has {ours:,} parameters, and `FeedForward` {theirs:,}: with three "
                "matrices instead of two the middle should be about 8C / 3 wide."
            )

    on_each({f"x of shape {s}": s for s in ((1, 1, 12), (2, 5, 32), (3, 4, 24))}, look)


@check
def rate_experiment(answer, text):
    """The table of learning rates: activation, learning_rate, first_loss, val_loss, dead_units."""
    activations = 3 * ["ReLU"] + 3 * ["LeakyReLU"]
    settings = {"activation": activations, "learning_rate": 2 * [0.003, 0.03, 0.1]}
    rows = rows_of(answer, settings, ["first_loss", "val_loss", "dead_units"])
    bands = recorded(rows, "rate_experiment", text)
    for n, dead in enumerate(rows.dead_units):
        if dead != int(dead):
            raise Mistake(f"`dead_units` is {dead} for {label(rows, n)}: count units, not shares.")
        if not 0 <= dead <= 128:
            raise Mistake(f"`dead_units` is {dead:g} for {label(rows, n)}: there are 128 units.")
    fair(rows, "val_loss", vocabulary(text), "learning_rate", "activation")
    same_start(rows, "learning_rate")
    if rows.dead_units["ReLU", 0.1] <= rows.dead_units["LeakyReLU", 0.1]:
        raise Mistake(
            "At learning rate 0.1 no more units die with ReLU than with LeakyReLU: are the names "
            "swapped, or were the units counted before the training?"
        )
    if rows.dead_units["ReLU", 0.003] > rows.dead_units["ReLU", 0.1]:
        raise Mistake(
            "More units die at learning rate 0.003 than at 0.1: a dead unit is one that is on at "
            "*none* of the tokens, `share_on(...) == 0`."
        )

    def build_model(vocab_size: int) -> LanguageModel:
        layers = nn.Sequential(CausalSelfAttention(32, 4), FeedForward(32))
        return LanguageModel(vocab_size, 32, 8, layers)

    again = run_again(rows, 0, text, build_model, max_iters=500, learning_rate=0.003)
    return said(rows, bands, again)
