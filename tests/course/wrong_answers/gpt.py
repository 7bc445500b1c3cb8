"""Lesson 8."""

import math
from dataclasses import replace

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd


def count(shape, tied=True, places=True, last=True, norms=True, biases=True, qkv=True):
    """The parameters, with some of them forgotten."""
    V, T, C = shape.vocab_size, shape.block_size, shape.n_embd
    block = 12 * C * C + (4 * C if norms else 0) + (6 * C if biases else 0)
    block += 3 * C if qkv and biases else 0
    ends = V * C * (1 if tied else 2) + (T * C if places else 0) + (2 * C if last else 0)
    return shape.n_layer * block + ends


def without(**forgotten):
    return lambda shape: count(shape, **forgotten)


def table(**columns):
    rows = {"dropout": [0, 0.2, 0.4, 0, 0, 0], "weight_decay": [0.1, 0.1, 0.1, 1, 3, 0.1],
            "n_chars": 5 * [3000] + [30000]}  # fmt: skip
    return pd.DataFrame(rows | solved("rescue_experiment") | columns)


RIGHT = table()

WRONG = [
    Wrong("gpt2_parameters", {
        "the lm_head is tied": without(tied=False),
        "the positions' T x C": without(places=False),
        "one more norm at the end": without(last=False),
        "the two norms of each block": without(norms=False),
        "the biases of the linear layers": without(biases=False),
        "the biases of query, key and value": without(qkv=False),
        "the lm_head has no bias": lambda shape: count(shape) + shape.vocab_size,
        "a block has two norms": lambda s: count(s) - 2 * s.n_embd * s.n_layer,
        "the tokens' V x C": lambda shape: count(shape) - shape.vocab_size * shape.n_embd,
        "only one block is counted": lambda shape: count(replace(shape, n_layer=1)),
        "you get 124,439,808, and": lambda shape: 124_439_808,
    }),
    Wrong("weight_after", {
        "it is a power, and not a product": lambda w, n, r, d: w * (1 - n * r * d),
        "the learning rate is missing": lambda w, n, r, d: w * (1 - d) ** n,
        "the decay is missing": lambda w, n, r, d: w * (1 - r) ** n,
        "what is gone": lambda w, n, r, d: w - w * (1 - r * d) ** n,
        "is taken as 1": lambda w, n, r, d: (1 - r * d) ** n,
        "the steps make it larger": lambda w, n, r, d: w * (1 + r * d) ** n,
        "one step too few": lambda w, n, r, d: w * (1 - r * d) ** (n - 1),
        "the limit of many tiny steps": lambda w, n, r, d: w * math.exp(-n * r * d),
    }),
    Wrong("rescue_experiment", {
        "the best loss is above the last": table(best_loss=[3.5, 2.88, 2.90, 2.86, 2.80, 2.43]),
        "as it is for the *training* loss": table(best_step=6 * [300]),
        "are one and the same loss": table(best_step=[90, 90, 90, 90, 300, 300]),
        "A best step is one that was measured": table(best_step=[3, 3, 3, 3, 8, 10]),
        "`dropout` 0.0 and 0.2 have": table(
            last_loss=[3.071, 3.071, 3.071, 2.99, 2.85, 2.43]),
        "`weight_decay` 0.1 and 1.0 have": table(
            last_loss=[3.071, 2.92, 2.93, 3.071, 2.85, 2.43]),
        "`n_chars` 3000 and 30000 have": table(
            last_loss=[3.071, 2.92, 2.93, 2.99, 2.85, 3.071],
            best_loss=[2.89, 2.88, 2.90, 2.86, 2.80, 2.89]),
        "are the two swapped": table(best_loss=[2.43, 2.88, 2.90, 2.86, 2.80, 2.89],
                                       last_loss=[2.431, 2.92, 2.93, 2.99, 2.85, 3.07]),
        "0 rows for dropout 0.4, weight_decay 0.1, n_chars 3000": RIGHT.drop(2),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
]  # fmt: skip
