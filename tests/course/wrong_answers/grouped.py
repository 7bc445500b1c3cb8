"""Lesson 10's second exercise."""

from lessons.checks.grouped import attended, in_turn, side_by_side
from lessons.checks.masks import soft
from wrong_answers import Wrong

import torch


def made(**how):
    return lambda q, k, v: attended(q, k, v, **how)


def scaled(scale):
    """With another divisor, which may depend on the number of heads and their size."""
    return lambda q, k, v: attended(q, k, v, scale=scale(q.shape[1], q.shape[-1]))


def shared_by_all(x, nh):
    return x[:, :1].expand(-1, nh, -1, -1)


def mean_of_all(x, nh):
    return x.mean(dim=1, keepdim=True).expand(-1, nh, -1, -1)


def asked_together(q, k, v):
    in_group = q.shape[1] // k.shape[1]
    together = q.unflatten(1, (-1, in_group)).mean(dim=2)
    return side_by_side(attended(together, k, v), q.shape[1])


def past_hidden(scores):
    return scores.masked_fill(torch.ones_like(scores).tril(-1) == 1, float("-inf")).softmax(dim=-1)


def by_columns(scores):
    return scores.masked_fill(torch.ones_like(scores).triu(1) == 1, float("-inf")).softmax(dim=-2)


def exchanged(q, k, v):
    k, v = (side_by_side(x, q.shape[1]) for x in (k, v))
    return soft(k @ q.mT / q.shape[-1] ** 0.5) @ v


WRONG = [
    Wrong("attend_in_groups", {
        "the groups are dealt out in turn": made(deal=in_turn),
        "the keys are dealt out rightly": made(deal_values=in_turn),
        "the values are dealt out rightly": made(deal=in_turn, deal_values=side_by_side),
        "the first group's": made(deal=shared_by_all),
        "the mean of all groups": made(deal=mean_of_all),
        "from the last to the first": lambda q, k, v: attended(q, k.flip(1), v.flip(1)),
        "the queries of a group are averaged": asked_together,
        "the scores are not scaled": made(scale=1),
        "divided by hs": scaled(lambda nh, hs: hs),
        "divided by √C": scaled(lambda nh, hs: (nh * hs) ** 0.5),
        "multiplied by √hs": scaled(lambda nh, hs: hs**-0.5),
        "the mask is missing": made(weigh=lambda s: s.softmax(dim=-1)),
        "the mask comes after the softmax": made(weigh=lambda s: s.softmax(dim=-1).tril()),
        "sets scores to 0": made(weigh=lambda s: soft(s, hide=0.0)),
        "hides the past": made(weigh=past_hidden),
        "from itself too": made(weigh=lambda s: soft(s, first_hidden=0)),
        "each column of shares": made(weigh=by_columns),
        "the softmax is missing": made(weigh=lambda s: s.tril()),
        "query and key are exchanged": exchanged,
        "the key is handed over": lambda q, k, v: attended(q, k, k),
        "the query is handed over": lambda q, k, v: soft(
            q @ side_by_side(k, q.shape[1]).mT / q.shape[-1] ** 0.5) @ q,
        "the value is that of position t itself": lambda q, k, v: side_by_side(v, q.shape[1]),
        "only one of each is there": lambda q, k, v: attended(
            q[:, :: q.shape[1] // k.shape[1]], k, v),
        "raised RuntimeError": lambda q, k, v: attended(q, k, v, deal=lambda x, nh: x),
        "entry [0, 0, 0, 0] is 1, and should be": lambda q, k, v: torch.ones_like(q),
    }),
]  # fmt: skip
