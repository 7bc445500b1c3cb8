"""Lesson 2."""

import math

from lessons.averaging import average_by_loops
from lessons.bigram import bigram_by_counting
from lessons.dataset import encode_and_split
from lessons.evaluation import full_loss
from wrong_answers import ANOTHER_TEXT, Wrong

import pandas as pd
import torch


def band(T):
    return torch.ones(T, T).tril().triu(-1)


def shares(weights):
    return weights / weights.sum(dim=1, keepdim=True)


def before(T):
    return torch.ones(T, T).tril(-1).triu(-1)


def first_alone(T):
    return before(T) + torch.eye(T)[:1] * torch.eye(T)


def steps(n, *dims):
    return torch.arange(1, n + 1).view(-1, *dims)


def halving(x):
    out = [x[:, 0]]
    for t in range(1, x.shape[1]):
        out.append((out[-1] + x[:, t]) / 2)
    return torch.stack(out, dim=1)


def without_itself(x):
    return (x.cumsum(1) - x) / steps(x.shape[1], 1).sub(1).clamp(min=1)


def inplace(x):
    x.copy_(average_by_loops(x))
    return x


V = 6
SHARES = torch.tensor([3.0, 2, 2, 2, 1, 1])
IDS = SHARES.multinomial(40_000, replacement=True, generator=torch.Generator().manual_seed(0))
TEXT = "".join("abcdef"[i] for i in IDS)
TRAIN, VAL, _ = encode_and_split(TEXT)
BIGRAM = full_loss(bigram_by_counting(TRAIN, V), VAL, 8)
RIGHT = pd.DataFrame({
    "tables": [1, 1, 1, 1, 1, 2],
    "block_size": [1, 2, 3, 4, 8, 8],
    "first_loss": math.log(V),
    "val_loss": [BIGRAM, 1.7, 1.69, 1.68, 1.67, 1.6],
})  # fmt: skip


def known(*losses):
    """A table on Tiny Shakespeare, with these losses at the end."""
    return RIGHT.assign(first_loss=math.log(65), val_loss=losses)


WRONG = [
    Wrong("band_shares", {
        "each row should sum to 1": band,
        "the first row has nobody before it": lambda T: band(T) / 2,
        "each column sums to 1, but each row should":
            lambda T: band(T) / band(T).sum(dim=0, keepdim=True),
        "position 0 looks at position 1": lambda T: (band(T) / band(T).sum(1)[:, None]).flip(0, 1),
        "`keepdim=True` keeps the sums a column": lambda T: band(T) / band(T).sum(1),
        "only at the one before, and not at itself. (": before,
        "but the first looks only at the one before": first_alone,
        "which leaves 0 / 0 in the first row": lambda T: shares(before(T)),
        "only at itself": torch.eye,
        "each row is divided by T": lambda T: band(T) / T,
        "all rows together sum to 1": lambda T: band(T) / band(T).sum(),
        "only −∞ gets none": lambda T: band(T).softmax(dim=1),
        "cut first": lambda T: shares(torch.ones(T, T).tril()).triu(-1),
        "looks at two before it": lambda T: shares(torch.ones(T, T).tril().triu(-2)),
        "mean of *all* earlier positions":
            lambda T: torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None],
        "is a size written as a number": lambda T: shares(band(5)),
    }),
    Wrong("average_by_cumsum", {
        "the sums are not divided": lambda x: x.cumsum(1),
        "all sums are divided by T": lambda x: x.cumsum(1) / x.shape[1],
        "runs along the channels": lambda x: x.cumsum(1) / steps(x.shape[1]),
        "counts channels": lambda x: x.cumsum(1) / steps(x.shape[2]),
        "counts sequences": lambda x: x.cumsum(1) / steps(x.shape[0], 1, 1),
        "only the first sum is divided right":
            lambda x: x.cumsum(1) / steps(x.shape[1], 1).sub(1).clamp(min=1),
        "divided by t + 2": lambda x: x.cumsum(1) / (steps(x.shape[1], 1) + 1),
        "nothing is added up": lambda x: x / steps(x.shape[1], 1),
        "is not among its terms": without_itself,
        "ever less weight": halving,
        "multiplied, and not added": lambda x: x.cumprod(1) / steps(x.shape[1], 1),
        "it has t + 1 terms: count from 1":
            lambda x: (x.cumsum(1) / torch.arange(x.shape[1])[:, None]),
        "the sum runs over the channels":
            lambda x: x.cumsum(2) / torch.arange(1, x.shape[1] + 1)[:, None],
        "the sum runs over the batch":
            lambda x: x.cumsum(0) / torch.arange(1, x.shape[1] + 1)[:, None],
        "position 0 changes when position 4 does": lambda x: x.mean(1, keepdim=True).expand_as(x),
        "it changed its input": inplace,
        "is a size written as a number": lambda x: x.cumsum(1) / steps(5, 1),
    }),
    Wrong("context_experiment", {
        "this one was already trained": RIGHT.assign(first_loss=[1.79, 1.2, 1.2, 1.2, 1.2, 1.2]),
        "set the second one to zero too": RIGHT.assign(first_loss=5 * [math.log(V)] + [2.2]),
        "leave it unrounded": RIGHT.assign(val_loss=[1.72, 1.7, 1.7, 1.68, 1.67, 1.6]),
        "`block_size` 4 and 8 have the same": RIGHT.assign(
            val_loss=[BIGRAM, 1.703, 1.69, 1.68137, 1.68137, 1.6]),
        "`tables` 1 and 2 have the same": RIGHT.assign(
            val_loss=[BIGRAM, 1.703, 1.69, 1.68, 1.67137, 1.67137]),
        "which is the bigram": RIGHT.assign(val_loss=[1.2, 1.1, 1.09, 1.08, 1.07, 1.06]),
        "0 rows for tables 2, block_size 8": RIGHT[:5],
    }, facts=(TEXT,), right=RIGHT),
    Wrong("context_experiment", {
        "are the shares learned": known(2.485, 2.487, 2.488, 2.489, 2.49, 2.33),
        "The second table hardly helps": known(2.485, 2.47, 2.46, 2.45, 2.44, 2.43),
        "is it a perplexity": known(14.1, 13.8, 13.6, 13.5, 13.4, 13.1),
        "does it see the future": known(2.485, 0.9, 0.8, 0.7, 0.6, 0.5),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
