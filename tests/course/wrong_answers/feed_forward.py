"""Lesson 5."""

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd
import torch.nn as nn
import torch.nn.functional as F


def gated(combine, width=lambda C: 8 * C // 3):
    """A gated layer whose middle is `combine(gate, up)`."""

    class Gated(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            self.gate = nn.Linear(n_embd, width(n_embd))
            self.up = nn.Linear(n_embd, width(n_embd))
            self.down = nn.Linear(width(n_embd), n_embd)

        def forward(self, x):
            return self.down(combine(self.gate(x), self.up(x)))

    return Gated


class WithSkip(gated(lambda g, u: F.relu(g) * u)):
    def forward(self, x):
        return x + super().forward(x)


class OtherNames(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.a, self.b = nn.Linear(n_embd, 2 * n_embd), nn.Linear(2 * n_embd, n_embd)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


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
    Wrong("GatedFeedForward", {
        "the ReLU bends the wrong branch": gated(lambda g, u: g * F.relu(u)),
        "the ReLU comes after the product": gated(lambda g, u: F.relu(g * u)),
        "the two branches are added": gated(lambda g, u: F.relu(g) + u),
        "nothing bends": gated(lambda g, u: g * u),
        "both branches are bent": gated(lambda g, u: F.relu(g) * F.relu(u)),
        "the gate is a sigmoid": gated(lambda g, u: g.sigmoid() * u),
        "the gate is a GELU": gated(lambda g, u: F.gelu(g) * u),
        "x is added: that skip": WithSkip,
        "about 8C / 3 wide": gated(lambda g, u: F.relu(g) * u, lambda C: 4 * C),
        "has no `self.gate`": OtherNames,
    }),
    Wrong("rate_experiment", {
        "count units, not shares": table(dead_units=[0, 0.02, 1.0, 0, 0, 0.02]),
        "there are 128 units": table(dead_units=[0, 3, 1024, 0, 0, 3]),
        "this one was already trained": table(first_loss=[4.2, 2.6, 2.6, 3.4, 2.6, 2.5]),
        "`learning_rate` 0.003 and 0.03 have": table(
            val_loss=[2.571, 2.571, 2.571, 2.58, 2.53, 2.69]),
        "`activation` ReLU and LeakyReLU have": table(val_loss=2 * [2.571, 2.56, 3.37]),
        "are the names swapped": table(dead_units=[0, 0, 3, 0, 3, 128]),
        "on at *none* of the tokens": table(dead_units=[128, 125, 6, 128, 128, 0]),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
]  # fmt: skip
