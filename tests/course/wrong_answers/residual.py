"""Lesson 6."""

import math

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd


def exact(gradient, factor, smallest):
    return math.log(smallest / gradient) / math.log(factor)


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
    Wrong("depth_experiment", {
        "count those of the whole model": table(parameters=8 * [16961]),
        "this one was already trained": table(first_loss=[4.3] + 7 * [2.6]),
        "`divided` False and True have": table(val_loss=2 * [2.64, 2.57137, 2.53, 2.50]),
        "the root of *twice* the depth": table(
            val_loss=[2.64137, 2.57, 2.53, 2.50, 2.64137, 2.59, 2.56, 2.54]),
        "0 rows for divided False, depth 8": RIGHT[RIGHT.depth < 8],
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("depth_experiment", {
        "is `divided` the wrong way round": table(
            first_loss=[4.38, 4.46, 4.47, 4.55, 4.38, 4.41, 4.39, 4.7]),
        "does it see the future": table(val_loss=[0.64, 0.57, 0.53, 0.5, 0.65, 0.59, 0.56, 0.54]),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
