"""Lesson 5."""

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd


def table(**columns):
    rows = {"activation": 3 * ["ReLU"] + 3 * ["LeakyReLU"], "learning_rate": 2 * [0.003, 0.03, 0.1]}
    return pd.DataFrame(rows | solved("rate_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("relu_unit", {
        "the bias alone switches it on": lambda: ([1, -1, 1], 1),
        "a or c alone must not be enough": lambda: ([1, -1, 1], 0),
        "b must pull it down": lambda: ([1, 0, 1], -1),
        "it should be exactly 1": lambda: ([2, -2, 2], -2),
        "Three weights and one bias": lambda: ([1, 1], -1),
        "Return two things": lambda: [1, -1, 1, -1],
    }),
    Wrong("rate_experiment", {
        "count units, not shares": table(dead_units=[0, 0.02, 1.0, 0, 0, 0.02]),
        "there are 128 units": table(dead_units=[0, 3, 1024, 0, 0, 3]),
        "this one was already trained": table(first_loss=[4.2, 2.6, 2.6, 3.4, 2.6, 2.5]),
        "`learning_rate` 0.003 and 0.03 have": table(
            val_loss=[2.57137, 2.57137, 2.57137, 2.58, 2.53, 2.69]),
        "`activation` ReLU and LeakyReLU have": table(val_loss=2 * [2.57137, 2.56, 3.37]),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("rate_experiment", {
        "are the names swapped": table(dead_units=[0, 0, 3, 0, 3, 128]),
        "on at *none* of the tokens": table(dead_units=[128, 125, 6, 128, 128, 0]),
        "does it see the future": table(val_loss=[0.6, 0.5, 3.3, 0.6, 0.5, 0.7]),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
