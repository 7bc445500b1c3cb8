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


def by_view(scale="hs", first_hidden=1, mask_size=None, dim=-1, how="transpose", back=True):
    """An answer to `attention_without_einops` with something wrong in it."""

    def answer(module, x):
        B, T, C = x.shape
        nh, hs = module.n_head, C // module.n_head
        q, k, v = (linear(x) for linear in (module.query, module.key, module.value))
        if how == "view":
            q, k, v = (y.view(B, nh, T, hs) for y in (q, k, v))
        elif how == "hs nh":
            q, k, v = (y.view(B, T, hs, nh).permute(0, 3, 1, 2) for y in (q, k, v))
        else:
            q, k, v = (y.view(B, T, nh, hs).transpose(1, 2) for y in (q, k, v))
        scores = q @ k.transpose(-2, -1) / {"hs": hs**0.5, "1": 1, "C": C**0.5}[scale]
        mask = torch.ones(mask_size or T, mask_size or T).triu(first_hidden)
        scores = scores.masked_fill(mask == 1, float("-inf"))
        out = F.softmax(scores, dim=dim) @ v
        return (out.transpose(1, 2) if back else out).reshape(B, T, C)

    return answer


def fixed_mask(module, x):
    if x.shape[1] > 2:
        raise ValueError("the mask is (2, 2)")
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
        "channels are counted from 0": lambda C, nh: (
            *sizes(C, nh)[:2], [c + 1 for c in sizes(C, nh)[2]]),
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
        "hides position t from itself": by_view(first_hidden=0),
        "missing 1/√hs": by_view(scale="1"),
        "divided by √C": by_view(scale="C"),
        "each column of weights sums to 1, but each row should": by_view(dim=-2),
        "the heads are cut as (hs nh)": by_view(how="hs nh"),
        "on the way back the heads are not side by side": by_view(back=False),
        "the mask lets the future in": by_view(first_hidden=99),
        "Right for x of shape (1, 2, 4)": fixed_mask,
        "need cropping, as with `[:T, :T]`": by_view(mask_size=8),
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
