"""Lesson 4."""

import copy

from lessons.evaluation import full_loss
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention
from wrong_answers import Wrong

import pandas as pd
import torch
import torch.nn.functional as F


def sizes(C, nh):
    hs = C // nh
    return hs, 3 * C * C, list(range(C - hs, C))


def causal(scores, first_hidden=1, hide=float("-inf"), dim=-1):
    mask = torch.ones(scores.shape[-2:]).triu(first_hidden)
    return F.softmax(scores.masked_fill(mask == 1, hide), dim=dim)


def by_view(scale=lambda C, nh: (C // nh) ** 0.5, weigh=causal, how="transpose", back=True,
            ask="query", answer="key", hand="value", heads=None):  # fmt: skip
    """An answer to `attention_without_einops` with something wrong in it."""

    def made(module, x):
        B, T, C = x.shape
        nh = heads or module.n_head
        hs = C // nh
        linears = (getattr(module, name) for name in (ask, answer, hand))
        if how == "view":
            q, k, v = (linear(x).view(B, nh, T, hs) for linear in linears)
        elif how == "hs nh":
            q, k, v = (linear(x).view(B, T, hs, nh).permute(0, 3, 1, 2) for linear in linears)
        else:
            q, k, v = (linear(x).view(B, T, nh, hs) for linear in linears)
            if how == "transpose":
                q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        out = weigh(q @ k.transpose(-2, -1) / scale(C, module.n_head)) @ v
        if back == "hs nh":
            return out.permute(0, 2, 3, 1).reshape(B, T, C)
        return (out.transpose(1, 2) if back else out).reshape(B, T, C)

    return made


def other_side(scores):
    return F.softmax(scores + torch.full(scores.shape[-2:], float("-inf")).tril(-1), dim=-1)


def peeking(scores):
    return causal(scores, first_hidden=2)


def mask_of_eight(scores):
    return F.softmax(scores + torch.full((8, 8), float("-inf")).triu(1), dim=-1)


def fixed_mask(module, x):
    if len(x) > 2:
        raise ValueError("the mask is (2, 1, 7, 7)")
    return by_view()(module, x)


V, DATA = 7, torch.randint(7, (400,), generator=torch.Generator().manual_seed(0))
torch.manual_seed(0)
MODEL = LanguageModel(V, 8, 4, CausalSelfAttention(8, 4))
with torch.no_grad():  # large enough that silencing a head shows
    MODEL.body.value.weight.mul_(4)
    MODEL.body.query.weight.mul_(4)


def table(name="value", axis="rows", restore=True, data=DATA):
    """The losses with one head after another silenced, in a copy of the model."""
    model = LanguageModel(V, 8, 4, CausalSelfAttention(8, 4))
    rows = []
    for h in ("none", *range(4)):
        if restore or h == "none":
            model.load_state_dict(MODEL.state_dict())
        if h != "none":
            place = (torch.arange(8) // 2 == h)[:, None]
            place = place if axis == "rows" else place.T
            weight = getattr(model.body, name).weight
            weight.data = weight.data.masked_fill(place, 0)
        rows.append((h, full_loss(model, data, 4)))
    return pd.DataFrame(rows, columns=["silenced", "val_loss"])


RIGHT = table()
BROKEN = copy.deepcopy(MODEL)
BROKEN.body.value.weight.data[2:4] = 0

WRONG = [
    Wrong("head_sizes", {
        "that is the number of heads": lambda C, nh: (nh, *sizes(C, nh)[1:]),
        "one of the three matrices": lambda C, nh: (C // nh, C * C, sizes(C, nh)[2]),
        "nh times too many": lambda C, nh: (C // nh, 3 * C * C * nh, sizes(C, nh)[2]),
        "nh times too few": lambda C, nh: (C // nh, 3 * C * C // nh, sizes(C, nh)[2]),
        "channels are counted from 0, so": lambda C, nh: (
            *sizes(C, nh)[:2], [c + 1 for c in sizes(C, nh)[2]]),
        "that is all the channels": lambda C, nh: (C, *sizes(C, nh)[1:]),
        "two of the three": lambda C, nh: (C // nh, 2 * C * C, sizes(C, nh)[2]),
        "that is four matrices": lambda C, nh: (C // nh, 4 * C * C, sizes(C, nh)[2]),
        "one matrix of one head": lambda C, nh: (C // nh, C * C // nh, sizes(C, nh)[2]),
        "do not exist": lambda C, nh: (*sizes(C, nh)[:2], list(range(C, C + C // nh))),
        "the last head but one": lambda C, nh: (
            *sizes(C, nh)[:2], [c - C // nh for c in sizes(C, nh)[2]]),
        "the channels of all heads": lambda C, nh: (*sizes(C, nh)[:2], list(range(C))),
        "only the first and the end": lambda C, nh: (*sizes(C, nh)[:2], [C - C // nh, C]),
        "the first one is missing": lambda C, nh: (*sizes(C, nh)[:2], sizes(C, nh)[2][1:]),
        "one too many": lambda C, nh: (*sizes(C, nh)[:2], list(range(C - C // nh - 1, C))),
        "the last nh channels": lambda C, nh: (*sizes(C, nh)[:2], list(range(C - nh, C))),
        "side by side, and not nh apart": lambda C, nh: (
            *sizes(C, nh)[:2], list(range(nh - 1, C, nh))),
        "give the channels as a list": lambda C, nh: (*sizes(C, nh)[:2], C - 1),
        "a bias is counted": lambda C, nh: (C // nh, 3 * C * (C + 1), sizes(C, nh)[2]),
        "only the first and the last are there": lambda C, nh: (
            *sizes(C, nh)[:2], [C - C // nh, C - 1]),
        "the last one is missing": lambda C, nh: (*sizes(C, nh)[:2], sizes(C, nh)[2][:-1]),
        "return three things": lambda C, nh: C // nh,
        "these are the first head's": lambda C, nh: (*sizes(C, nh)[:2], list(range(C // nh))),
    }),
    Wrong("attention_without_einops", {
        "mixes up positions and channels": by_view(how="view"),
        "and straight back": by_view(how="view", back=False),
        "the heads of one position look at each other": by_view(how="", back=""),
        "the heads are cut as (hs nh)": by_view(how="hs nh"),
        "cut and joined as (hs nh)": by_view(how="hs nh", back="hs nh"),
        "the heads are joined as (hs nh)": by_view(back="hs nh"),
        "on the way back the heads are not side by side": by_view(back=False),
        "all channels are one head: cut": by_view(heads=1, scale=lambda C, nh: C**0.5),
        "though with the scale of hs": by_view(heads=1),
        "missing 1/√hs": by_view(lambda C, nh: 1),
        "divided by √C": by_view(lambda C, nh: C**0.5),
        "divided by hs": by_view(lambda C, nh: C // nh),
        "divided by √nh": by_view(lambda C, nh: nh**0.5),
        "multiplied by √hs": by_view(lambda C, nh: (nh / C) ** 0.5),
        "the scale comes after the softmax": by_view(
            lambda C, nh: 1, lambda scores: causal(scores) / 5**0.5),
        "the mask is missing": by_view(weigh=lambda scores: F.softmax(scores, dim=-1)),
        "the mask comes after the softmax": by_view(
            weigh=lambda scores: F.softmax(scores, dim=-1).tril()),
        "the mask sets scores to 0": by_view(weigh=lambda scores: causal(scores, hide=0.0)),
        "the mask hides the past": by_view(weigh=other_side),
        "leaves nothing in the first row: NaN": by_view(
            weigh=lambda scores: causal(scores, first_hidden=0)),
        "hides position t from itself too. (": by_view(
            weigh=lambda scores: causal(scores, first_hidden=0, hide=-1e9)),
        "what comes later has a say in it": by_view(weigh=peeking),
        "each column of shares sums to 1, but each row should": by_view(
            weigh=lambda scores: causal(scores, dim=-2)),
        "the shares of the nh heads sum to 1": by_view(
            weigh=lambda scores: causal(scores, dim=1)),
        "the softmax is missing": by_view(weigh=torch.tril),
        "divide each row by its sum": by_view(weigh=lambda scores: scores.exp().tril()),
        "query and key are swapped": by_view(ask="key", answer="query"),
        "the key is handed over": by_view(hand="key"),
        "the value is that of position t itself": lambda module, x: module.value(x),
        "Right for x of shape (2, 7, 15)": fixed_mask,
        "need cropping, as with `[:T, :T]`": by_view(weigh=mask_of_eight),
    }),
    Wrong("silencing_experiment", {
        "each row adds one more silenced head": table(restore=False),
        "the query's rows are zero": table("query"),
        "the columns of `value` are zero": table(axis="columns"),
        "nothing was silenced": RIGHT.assign(val_loss=RIGHT.val_loss[0]),
        "the losses on `some_val`": table(data=DATA[:100]),
        "0 rows for silenced 3": RIGHT[:4],
    }, facts=(MODEL, DATA), right=RIGHT),
    Wrong("silencing_experiment", {
        "The model itself has silenced rows now": RIGHT,
    }, facts=(BROKEN, DATA)),
]  # fmt: skip
