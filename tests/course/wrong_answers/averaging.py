"""Lesson 2."""

import math

from lessons.averaging import average_by_loops
from lessons.bigram import bigram_by_counting
from lessons.dataset import encode_and_split
from lessons.evaluation import full_loss
from wrong_answers import Wrong

import pandas as pd
import torch


def band(T):
    return torch.ones(T, T).tril().triu(-1)


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

WRONG = [
    Wrong("band_weights", {
        "each row should sum to 1": band,
        "the first row has nobody before it": lambda T: band(T) / 2,
        "each column sums to 1, but each row should":
            lambda T: band(T) / band(T).sum(dim=0, keepdim=True),
        "position 0 looks at position 1": lambda T: (band(T) / band(T).sum(1)[:, None]).flip(0, 1),
        "`keepdim=True` keeps the sums a column": lambda T: band(T) / band(T).sum(1),
        "not at itself": lambda T: torch.ones(T, T).tril(-1).triu(-1),
        "mean of *all* earlier positions":
            lambda T: torch.ones(T, T).tril() / torch.arange(1, T + 1)[:, None],
        "is a size written as a number": lambda T: band(4) / band(4).sum(dim=1, keepdim=True),
    }),
    Wrong("average_by_cumsum", {
        "the sums are not divided": lambda x: x.cumsum(1),
        "all sums are divided by T": lambda x: x.cumsum(1) / x.shape[1],
        "the divisor runs along the channels":
            lambda x: x.cumsum(1) / torch.arange(1, x.shape[1] + 1),
        "it has t + 1 terms: count from 1":
            lambda x: (x.cumsum(1) / torch.arange(x.shape[1])[:, None]),
        "the sum runs over the channels":
            lambda x: x.cumsum(2) / torch.arange(1, x.shape[1] + 1)[:, None],
        "the sum runs over the batch":
            lambda x: x.cumsum(0) / torch.arange(1, x.shape[1] + 1)[:, None],
        "position 0 changes when position 2 does": lambda x: x.mean(1, keepdim=True).expand_as(x),
        "it changed its input": inplace,
        "is a size written as a number": lambda x: x.cumsum(1) / torch.arange(1, 4)[:, None],
    }),
    Wrong("context_experiment", {
        "this one was already trained": RIGHT.assign(first_loss=[1.79, 1.2, 1.2, 1.2, 1.2, 1.2]),
        "set the second one to zero too": RIGHT.assign(first_loss=5 * [math.log(V)] + [2.2]),
        "leave it unrounded": RIGHT.assign(val_loss=[1.79, 1.7, 1.7, 1.68, 1.67, 1.6]),
        "are the shares learned": RIGHT.assign(
            val_loss=[1.71, 1.72, 1.73, 1.74, 1.75, 1.6]),
        "`block_size` 4 and 8 have the same": RIGHT.assign(
            val_loss=[BIGRAM, 1.703, 1.69, 1.68, 1.68, 1.6]),
        "`tables` 1 and 2 have the same": RIGHT.assign(
            val_loss=[BIGRAM, 1.703, 1.69, 1.68, 1.671, 1.671]),
        "which is the bigram": RIGHT.assign(val_loss=[1.2, 1.1, 1.09, 1.08, 1.07, 1.06]),
        "The second table hardly helps": RIGHT.assign(
            val_loss=[BIGRAM, 1.7, 1.69, 1.68, 1.67, 1.665]),
        "is it a perplexity": RIGHT.assign(val_loss=RIGHT.val_loss.rpow(2.718)),
        "0 rows for tables 2, block_size 8": RIGHT[:5],
    }, facts=(TEXT,), right=RIGHT),
]  # fmt: skip
