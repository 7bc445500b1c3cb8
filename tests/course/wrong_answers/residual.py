"""Lesson 6."""

import math

from wrong_answers import Wrong

import pandas as pd


def exact(gradient, factor, smallest):
    return math.log(smallest / gradient) / math.log(factor)


def table(**columns):
    rows = {"divided": 4 * [False] + 4 * [True], "depth": 2 * [1, 2, 4, 8],
            "parameters": 2 * [16961, 29441, 54401, 104321]}  # fmt: skip
    losses = {"first_loss": [4.35, 4.37, 4.58, 4.57, 4.35, 4.35, 4.43, 4.39],
              "val_loss": [2.64, 2.57, 2.53, 2.50, 2.65, 2.59, 2.56, 2.54]}  # fmt: skip
    return pd.DataFrame(rows | losses | columns)


RIGHT = table()

WRONG = [
    Wrong("blocks_until_lost", {
        "not yet below": lambda g, f, s: math.ceil(exact(g, f, s)),
        "one block too many": lambda g, f, s: math.floor(exact(g, f, s)) + 2,
        "eight times smaller here": lambda g, f, s: math.ceil(math.log(g / s) / math.log(8)),
        "the gradient's size at the start is left out":
            lambda g, f, s: math.ceil(math.log(s) / math.log(f)),
        "a number of blocks is whole": exact,
        "to the base 10": lambda g, f, s: math.ceil(-math.log10(s / g)),
        "each block halves it here": lambda g, f, s: math.ceil(math.log2(g / s)),
    }),
    Wrong("depth_experiment", {
        "count those of the whole model": table(parameters=8 * [16961]),
        "this one was already trained": table(first_loss=[4.3] + 7 * [2.6]),
        "`divided` False and True have": table(val_loss=2 * [2.64, 2.571, 2.53, 2.50]),
        "the root of *twice* the depth": table(
            val_loss=[2.64, 2.57, 2.53, 2.50, 2.64, 2.59, 2.56, 2.54]),
        "is `divided` the wrong way round": table(divided=4 * [True] + 4 * [False]),
        "0 rows for divided False, depth 8": RIGHT[RIGHT.depth < 8],
    }, facts=(65,), right=RIGHT),
]  # fmt: skip
