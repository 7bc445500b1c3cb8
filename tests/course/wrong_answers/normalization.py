"""Lesson 7."""

import statistics

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd
import torch
import torch.nn as nn

EPS = 1e-5


def row_by(divisor, centre=True):
    """An answer to `layer_norm_row` that divides by `divisor(row)`."""

    def answer(row):
        mean = sum(row) / len(row) if centre else 0
        return [(value - mean) / divisor(row) for value in row]

    return answer


def variance(row):
    return statistics.pvariance(row)


def rms(norm, parameters=1, gain=True):
    """An RMSNorm whose core is `norm(x)`."""

    class RMSNorm(nn.Module):
        def __init__(self, n_embd, eps=EPS):
            super().__init__()
            self.weights = nn.ParameterList(torch.ones(n_embd) for _ in range(parameters))

        def forward(self, x):
            return norm(x) * (self.weights[0] if gain and parameters else 1)

    return RMSNorm


def square(x, dim=-1):
    return x.pow(2).mean(dim=dim, keepdim=True) + EPS


def centred(x):
    return x - x.mean(dim=-1, keepdim=True)


def root(x):
    return x * square(x) ** -0.5


def gains(norm, start=1.0, trained=True):
    """An RMSNorm that computes `norm(x, gain)`."""

    class RMSNorm(nn.Module):
        def __init__(self, n_embd, eps=EPS):
            super().__init__()
            self.gain = nn.Parameter(torch.full((n_embd,), start), requires_grad=trained)

        def forward(self, x):
            return norm(x, self.gain)

    return RMSNorm


def table(**columns):
    rows = {"block": 3 * ["post"] + ["pre"], "warmup": [0, 50, 100, 0]}
    return pd.DataFrame(rows | solved("warmup_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("layer_norm_row", {
        "divided by the variance": row_by(lambda row: variance(row) + EPS),
        "n - 1 here": row_by(lambda row: (statistics.variance(row) + EPS) ** 0.5),
        "the squares are added": row_by(lambda row: (variance(row) * len(row) + EPS) ** 0.5),
        "the mean is not subtracted. (": row_by(lambda row: (variance(row) + EPS) ** 0.5, False),
        "nothing is divided": row_by(lambda row: 1),
        "1e-5 is added to the root": row_by(lambda row: variance(row) ** 0.5 + EPS),
        "taken of the row itself": row_by(
            lambda row: (sum(value**2 for value in row) / len(row) + EPS) ** 0.5),
        "eps is missing": lambda row: [0.0] * len(row) if variance(row) == 0 else row_by(
            lambda row: variance(row) ** 0.5)(row),
        "root mean square of exercise 2": row_by(
            lambda row: (sum(value**2 for value in row) / len(row) + EPS) ** 0.5, False),
        "the mean distance from the mean": row_by(lambda row: sum(
            abs(value - sum(row) / len(row)) for value in row) / len(row) + EPS),
        "the sum is subtracted": lambda row: [
            (value - sum(row)) / (variance(row) + EPS) ** 0.5 for value in row],
        "the wrong way round": row_by(lambda row: -((variance(row) + EPS) ** 0.5)),
        "that is a softmax": lambda row: torch.tensor(row).softmax(dim=0),
        "divided by its sum": lambda row: [value / sum(row) for value in row],
        "0 / 0": row_by(lambda row: variance(row) ** 0.5),
    }),
    Wrong("RMSNorm", {
        "that is layer norm": rms(lambda x: centred(x) * square(centred(x)) ** -0.5),
        "take its root": rms(lambda x: x / square(x)),
        "over the positions instead of the channels": rms(lambda x: x * square(x, 1) ** -0.5),
        "over everything at once": rms(lambda x: x * (x.pow(2).mean() + EPS) ** -0.5),
        "the squares are added": rms(
            lambda x: x * (x.pow(2).sum(dim=-1, keepdim=True) + EPS) ** -0.5),
        "and no bias": rms(lambda x: x * square(x) ** -0.5, parameters=2),
        "it gives NaN": rms(lambda x: x * x.pow(2).mean(dim=-1, keepdim=True) ** -0.5),
        "which leaves out the mean": rms(lambda x: x * square(centred(x)) ** -0.5),
        "and with n - 1": rms(lambda x: x * (x.var(dim=-1, keepdim=True) + EPS) ** -0.5),
        "eps is added to the root": rms(lambda x: x / ((square(x) - EPS).sqrt() + EPS)),
        "eps is not used": rms(lambda x: x * square(x) ** -0.5),
        "over the batch instead of the channels": rms(lambda x: x * square(x, 0) ** -0.5),
        "over positions and channels": rms(lambda x: x * (square(x, (1, 2))) ** -0.5),
        "the gain is never used": rms(lambda x: x * square(x) ** -0.5, gain=False),
        "eps is missing": rms(lambda x: (x + 1e-30) * (square(x) - EPS + 1e-30) ** -0.5),
        "multiplied by the root mean square": rms(lambda x: x * square(x) ** 0.5),
        "the mean distance from 0": rms(lambda x: x / (x.abs().mean(-1, keepdim=True) + EPS)),
        "the mean is squared": rms(lambda x: x * (x.mean(-1, keepdim=True) ** 2 + EPS) ** -0.5),
        "the skip belongs to the block": rms(lambda x: x + x * square(x) ** -0.5),
        "multiplied as 1 + gain": gains(lambda x, gain: (1 + gain) * root(x)),
        "does not begin at 1": gains(lambda x, gain: gain * root(x), 0.0),
        "the gain divides": gains(lambda x, gain: root(x) / gain),
        "counts in the mean square too": gains(lambda x, gain: root(gain * x)),
        "by the square of the gain": gains(lambda x, gain: gain**2 * root(x)),
        "two calls differ": gains(lambda x, gain: gain * nn.functional.dropout(root(x), 0.3)),
        "no gradient reaches `gain`": gains(lambda x, gain: gain.data * root(x)),
        "no gradient reaches x": gains(lambda x, gain: gain * root(x.detach())),
        "only a part of the gradient reaches x": gains(
            lambda x, gain: gain * x * (square(x) ** -0.5).detach()),
        "`requires_grad=False`": gains(lambda x, gain: gain * root(x), trained=False),
    }),
    Wrong("warmup_experiment", {
        "this one was already trained": table(first_loss=[4.55, 3.4, 2.7, 2.7]),
        "`warmup` 50 and 100 have": table(last_loss=[3.38, 2.71137, 2.71137, 2.60]),
        "`block` post and pre have": table(last_loss=[3.38137, 2.71, 2.66, 3.38137]),
        "0 rows for block pre, warmup 0": RIGHT[:3],
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("warmup_experiment", {
        "The warm-up changes next to nothing": table(last_loss=[3.381, 3.37, 3.36, 2.60]),
        "were the gradients not cleared": table(last_loss=[3.38, 8.77, 4.79, 2.60]),
        "are the names swapped": table(last_loss=[2.901, 2.71, 2.66, 3.38]),
        "does it see the future": table(last_loss=[3.38, 0.9, 0.8, 0.7]),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
