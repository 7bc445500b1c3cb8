"""Lesson 6."""

import math

from lessons.residual import ResidualBlock
from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd
import torch
import torch.nn as nn


def exact(gradient, factor, smallest):
    return math.log(smallest / gradient) / math.log(factor)


def happens(p):
    return (torch.rand(()) < p).item()


class Block(ResidualBlock):
    """Right; the wrong ones below each change a part of it."""

    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__(n_embd, n_head)
        self.drop = drop

    def keeps(self):
        return not happens(self.drop)

    def training_step(self, x, layer):
        return x + layer(x) if self.keeps() else x

    def use(self, x, layer):
        return x + (1 - self.drop) * layer(x)

    def forward(self, x):
        step = self.training_step if self.training else self.use
        return step(step(x, self.communicate), self.compute)


class WholeInUse(Block):
    def use(self, x, layer):
        return x + layer(x)


class TimesDrop(Block):
    def use(self, x, layer):
        return x + self.drop * layer(x)


class SkipTooInUse(Block):
    def use(self, x, layer):
        return (1 - self.drop) * (x + layer(x))


class NoSkipInUse(Block):
    def use(self, x, layer):
        return (1 - self.drop) * layer(x)


class OneSmallerInUse(Block):
    def use(self, x, layer):
        return super().use(x, layer) if layer == self.communicate else x + layer(x)


class OtherSmallerInUse(Block):
    def use(self, x, layer):
        return super().use(x, layer) if layer == self.compute else x + layer(x)


class BothFromX(Block):
    def forward(self, x):
        if self.training:
            return super().forward(x)
        return x + (1 - self.drop) * (self.communicate(x) + self.compute(x))


class FixedInUse(Block):
    def use(self, x, layer):
        return x + 0.9 * layer(x)


class FixedInTraining(Block):
    def keeps(self):
        return not happens(0.25)


class SecondWrongWayRound(Block):
    def training_step(self, x, layer):
        keeps = self.keeps() if layer == self.communicate else not self.keeps()
        return x + layer(x) if keeps else x


class SequencesDropped(Block):
    def training_step(self, x, layer):
        return x + (torch.rand(len(x), 1, 1) >= self.drop) * layer(x)


class RandomInUse(Block):
    def use(self, x, layer):
        return self.training_step(x, layer)


class SmallerInTraining(Block):
    def training_step(self, x, layer):
        return self.use(x, layer)


class EntriesDropped(Block):
    def training_step(self, x, layer):
        return x + nn.functional.dropout(layer(x), self.drop)


class SkipLeftOut(Block):
    def training_step(self, x, layer):
        return x + layer(x) if self.keeps() else torch.zeros_like(x)


class OneDraw(Block):
    def forward(self, x):
        if self.training and not self.keeps():
            return x
        self_keeps, self.keeps = self.keeps, lambda: True
        out = super().forward(x)
        self.keeps = self_keeps
        return out


class WrongWayRound(Block):
    def keeps(self):
        return happens(self.drop)


class NotDerived(nn.Module):
    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__()


def table(**columns):
    rows = {"divided": 4 * [False] + 4 * [True], "depth": 2 * [1, 2, 4, 8],
            "parameters": 2 * [16961, 29441, 54401, 104321]}  # fmt: skip
    return pd.DataFrame(rows | solved("depth_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("blocks_until_lost", {
        "not yet below": lambda g, f, s: math.ceil(exact(g, f, s)),
        "came out a rounding too low": lambda g, f, s: math.floor(exact(g, f, s)) + 1,
        "one block too many": lambda g, f, s: math.floor(exact(g, f, s)) + 2,
        "eight times smaller here": lambda g, f, s: math.ceil(math.log(g / s) / math.log(8)),
        "the gradient's size at the start is left out":
            lambda g, f, s: math.ceil(math.log(s) / math.log(f)),
        "a number of blocks is whole": exact,
        "to the base 10": lambda g, f, s: math.ceil(-math.log10(s / g)),
        "each block halves it here": lambda g, f, s: math.ceil(math.log2(g / s)),
    }),
    Wrong("StochasticDepthBlock", {
        "both additions are kept whole": WholeInUse,
        "multiplied by drop, and": TimesDrop,
        "the skip is scaled down too": SkipTooInUse,
        "In `eval()` two calls differ": RandomInUse,
        "In training the additions are scaled down": SmallerInTraining,
        "the skip is missing": NoSkipInUse,
        "only the first of the two": OneSmallerInUse,
        "only the second of the two": OtherSmallerInUse,
        "and not from the result of the first": BothFromX,
        "0.9 is written into the code": FixedInUse,
        "is the probability a fixed number": FixedInTraining,
        "the feed-forward layer is kept in": SecondWrongWayRound,
        "Are single entries": EntriesDropped,
        "the skip is left out with the addition": SkipLeftOut,
        "draw a random number for each": OneDraw,
        "attention is kept in": WrongWayRound,
        "Derive the class from `ResidualBlock`": NotDerived,
    }),
    Wrong("depth_experiment", {
        "count those of the whole model": table(parameters=8 * [16961]),
        "this one was already trained": table(first_loss=[4.3] + 7 * [2.6]),
        "`divided` False and True have": table(val_loss=2 * [2.64, 2.571, 2.53, 2.50]),
        "the root of *twice* the depth": table(
            val_loss=[2.641, 2.57, 2.53, 2.50, 2.641, 2.59, 2.56, 2.54]),
        "is `divided` the wrong way round": table(divided=4 * [True] + 4 * [False]),
        "0 rows for divided False, depth 8": RIGHT[RIGHT.depth < 8],
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
]  # fmt: skip
