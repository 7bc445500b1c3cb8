"""Lesson 3."""

import math

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd
import torch
import torch.nn.functional as F


def weighted(make):
    """An answer to `one_query` whose weights are `make(scores)`."""

    def answer(query, keys, values):
        weights = make(keys @ query)
        return weights, weights @ values

    return answer


def soft(query, keys, values):
    return F.softmax(keys @ query, dim=0)


def loops(scale="hs", first=0, seen=lambda t, T: t + 1, soft=True, swap=False, last=False):
    """An answer to `head_by_loops` with something wrong in it."""

    def answer(head, x):
        q, k, v = head.query(x), head.key(x), head.value(x)
        if swap:
            q, k = k, q
        B, T, hs = v.shape
        by = {"hs": hs**0.5, "1": 1, "C": x.shape[2] ** 0.5, "no root": hs}[scale]
        out = torch.zeros_like(v)
        for b in range(B):
            for t in range(T):
                places = range(seen(t, T))
                if places:
                    scores = torch.stack([q[b, t] @ k[b, s] / by for s in places])
                    weights = F.softmax(scores, dim=0) if soft else scores
                    out[b, t] = sum(weights[s] * v[b, s] for s in places[-1 if last else 0 :])
        return out

    return answer


def table(**columns):
    rows = {"scaled": 3 * [True] + 3 * [False], "factor": 2 * [1, 4, 8]}
    return pd.DataFrame(rows | solved("scale_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("one_query", {
        "these are the scores": weighted(lambda scores: scores),
        "take e to the power of each first": weighted(lambda s: s / s.sum()),
        "divide them by their sum": weighted(torch.exp),
        "the scores are scaled": lambda q, k, v: (
            F.softmax(k @ q / len(q) ** 0.5, dim=0), F.softmax(k @ q / len(q) ** 0.5, dim=0) @ v),
        "all the weight goes to the largest score": weighted(lambda s: (s == s.max()).float()),
        "the values took the place of the keys": lambda q, k, v: (
            (v * q.sum()).softmax(0), (v * q.sum()).softmax(0) @ v),
        "the values are multiplied by the scores": lambda q, k, v: (soft(q, k, v), (k @ q) @ v),
        "your code raised RuntimeError": lambda q, k, v: (F.softmax(q @ k, 0), 1.0),
        "the values are added without their weights": lambda q, k, v: (soft(q, k, v), v.sum()),
        "but not added up": lambda q, k, v: (soft(q, k, v), soft(q, k, v) * v),
        "return two things": lambda q, k, v: soft(q, k, v) @ v,
    }),
    Wrong("head_by_loops", {
        "missing 1/√hs": loops(scale="1"),
        "divided by √C": loops(scale="C"),
        "divided by hs: divide by its root": loops(scale="no root"),
        "s runs past t": loops(seen=lambda t, T: T),
        "only one term is left of the sum": loops(last=True),
        "the value is that of position t itself": lambda head, x: head.value(x),
        "does not look at itself": loops(seen=lambda t, T: t),
        "query and key are swapped": loops(swap=True),
        "the softmax is missing": loops(soft=False),
        "IndexError": loops(seen=lambda t, T: 8),
        "should have (1, 2, 2)": lambda head, x: x,
    }),
    Wrong("scale_experiment", {
        "this one was already trained": table(first_loss=[4.2, 2.6, 2.6, 4.2, 2.6, 2.6]),
        "`factor` 1 and 4 have the same": table(
            val_loss=[2.641, 2.641, 2.641, 2.66, 2.75, 2.88]),
        "`scaled` True and False have the same": table(val_loss=2 * [2.641, 2.71, 2.74]),
        "the wrong way round": table(scaled=3 * [False] + 3 * [True]),
        "0 rows for scaled False, factor 1": RIGHT[:3],
        "does it see the future": table(val_loss=[0.49, 0.7, 0.8, 0.76, 1.59, 1.6]),
        "is it a perplexity": table(val_loss=[14.0, 15.0, 15.5, 14.3, 15.6, 17.8]),
        "NaN": table(val_loss=[2.64, 2.71, 2.74, 2.66, 2.75, math.nan]),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
]  # fmt: skip
