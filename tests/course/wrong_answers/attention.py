"""Lesson 3."""

import math

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd
import torch
import torch.nn.functional as F


def weighted(make):
    """An answer to `one_query` whose shares are `make(scores)`."""

    def answer(query, keys, values):
        shares = make(keys @ query)
        return shares, shares @ values

    return answer


def soft(query, keys, values):
    return F.softmax(keys @ query, dim=0)


def output(make):
    """An answer to `one_query` whose shares are right, and its output `make(shares, …)`."""
    return lambda q, k, v: (soft(q, k, v), make(soft(q, k, v), q, k, v))


def unit(a):
    return a / a.norm(dim=-1, keepdim=True)


def loops(scale=lambda hs, C, t: hs**0.5, seen=lambda t, T: t + 1, first=0, weigh=F.softmax,
          ask="query", answer="key", hand="value", share=1, last=False, keep=None):  # fmt: skip
    """An answer to `head_by_loops` with something wrong in it."""

    def made(head, x):
        q, k, v = (getattr(head, name)(x) for name in (ask, answer, hand))
        B, T, C = x.shape
        out = torch.zeros_like(v)
        for b in range(B):
            asking = 0 if share in ("shares", "all") else b
            for t in range(T):
                scores = [q[asking, t] @ k[asking, s] / scale(v.shape[2], C, t)
                          for s in range(first, seen(t, T))]  # fmt: skip
                if scores:
                    if keep == "zeros":
                        scores = scores[: t + 1] + (T - t - 1) * [torch.tensor(0.0)]
                    shares = weigh(torch.stack(scores), dim=0)
                    n = min(len(shares), t + 1) if keep == "cut" else len(shares)
                    places = [n - 1] if last else range(n)
                    terms = [shares[s] * v[0 if share == "all" else b, s] for s in places]
                    out[b, t] = sum(terms) / (n if share == "mean" else 1)
        return out

    return made


def everything(t, T):
    return T


def table(**columns):
    rows = {"scaled": 3 * [True] + 3 * [False], "factor": 2 * [1, 4, 8]}
    return pd.DataFrame(rows | solved("scale_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("one_query", {
        "these are the scores": weighted(lambda scores: scores),
        "take e to the power of each first": weighted(lambda s: s / s.sum()),
        "divide them by their sum. (": weighted(torch.exp),
        "logarithms of the shares": weighted(lambda s: s.log_softmax(dim=0)),
        "divided by hs: here they should not": lambda q, k, v: weighted(
            lambda s: (s / len(q)).softmax(0))(q, k, v),
        "the opposite sign": weighted(lambda s: (-s).softmax(0)),
        "brought to length 1": lambda q, k, v: weighted(
            lambda s: s.softmax(0))(unit(q), unit(k), v),
        "through a sigmoid": weighted(torch.sigmoid),
        "the base of the powers is 2": weighted(lambda s: 2**s / (2**s).sum()),
        "all shares are equal": weighted(lambda s: torch.ones_like(s) / len(s)),
        "the query is left out": lambda q, k, v: weighted(lambda s: s.softmax(0))(
            torch.ones_like(q), k, v),
        "first the shares, then the output": lambda q, k, v: (
            soft(q, k, v) @ v, soft(q, k, v)),
        "the plain mean of the values": output(lambda w, q, k, v: v.mean()),
        "are averaged: add them up": output(lambda w, q, k, v: (w * v).mean()),
        "divide these by their sum": output(lambda w, q, k, v: (k @ q).exp() @ v),
        "the value with the largest weight": output(lambda w, q, k, v: v[w.argmax()]),
        "the keys are added up": output(lambda w, q, k, v: w @ k),
        "the scores are scaled": lambda q, k, v: (
            F.softmax(k @ q / len(q) ** 0.5, dim=0), F.softmax(k @ q / len(q) ** 0.5, dim=0) @ v),
        "everything goes to the largest score": weighted(lambda s: (s == s.max()).float()),
        "the values took the place of the keys": lambda q, k, v: (
            (v * q.sum()).softmax(0), (v * q.sum()).softmax(0) @ v),
        "are multiplied by the scores": lambda q, k, v: (soft(q, k, v), (k @ q) @ v),
        "your code raised RuntimeError": lambda q, k, v: (F.softmax(q @ k, 0), 1.0),
        "the values are added without their shares": lambda q, k, v: (soft(q, k, v), v.sum()),
        "but not added up": lambda q, k, v: (soft(q, k, v), soft(q, k, v) * v),
        "return two things": lambda q, k, v: soft(q, k, v) @ v,
    }),
    Wrong("head_by_loops", {
        "missing 1/√hs": loops(lambda hs, C, t: 1),
        "divided by √C": loops(lambda hs, C, t: C**0.5),
        "divided by hs: divide by its root": loops(lambda hs, C, t: hs),
        "multiplied by √hs": loops(lambda hs, C, t: hs**-0.5),
        "divided by √(t + 1)": loops(lambda hs, C, t: (t + 1) ** 0.5),
        "s runs past t, over all positions": loops(seen=everything),
        "the sum cut at t afterwards": loops(seen=everything, keep="cut"),
        "a later position has the score 0": loops(seen=everything, keep="zeros"),
        "look no further than itself": loops(seen=lambda t, T: min(t + 2, T)),
        "only one term is left of the sum": loops(last=True),
        "the sum over s is divided by t + 1": loops(share="mean"),
        "the value is that of position t itself": lambda head, x: head.value(x),
        "is taken whole": loops(weigh=lambda s, dim: F.one_hot(s.argmax(), len(s)).float()),
        "get an equal share": loops(weigh=lambda s, dim: torch.ones_like(s) / len(s)),
        "does not look at itself": loops(seen=lambda t, T: t),
        "query and key are swapped": loops(ask="key", answer="query"),
        "queries are compared with queries": loops(answer="query"),
        "keys are compared with keys": loops(ask="key"),
        "the key is handed over": loops(hand="key"),
        "the query is handed over": loops(hand="query"),
        "has the scores of the first one": loops(share="shares"),
        "has the result of the first one": loops(share="all"),
        "the softmax is missing": loops(weigh=lambda s, dim: s),
        "e to the power of the scores: divide": loops(weigh=lambda s, dim: s.exp()),
        "take e to the power of each first": loops(weigh=lambda s, dim: s / s.sum()),
        "IndexError": loops(seen=lambda t, T: 8),
        "should have (2, 3, 5)": lambda head, x: x,
    }),
    Wrong("scale_experiment", {
        "this one was already trained": table(first_loss=[4.2, 2.6, 2.6, 4.2, 2.6, 2.6]),
        "`factor` 1 and 4 have the same": table(
            val_loss=[2.64137, 2.64137, 2.64137, 2.66, 2.75, 2.88]),
        "`scaled` True and False have the same": table(val_loss=2 * [2.64137, 2.71, 2.74]),
        "0 rows for scaled False, factor 1": RIGHT[:3],
        "NaN": table(val_loss=[2.64, 2.71, 2.74, 2.66, 2.75, math.nan]),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("scale_experiment", {
        "the wrong way round": table(scaled=3 * [False] + 3 * [True]),
        "does it see the future": table(val_loss=[0.49, 0.7, 0.8, 0.76, 1.59, 1.6]),
        "is it a perplexity": table(val_loss=[24.0, 25.0, 25.5, 24.3, 25.6, 27.8]),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
