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
        "the lm_head is tied to the token embedding. (": without(tied=False),
        "the positions' T x C are": without(places=False),
        "one more norm at the end": without(last=False),
        "4C a block too few": without(norms=False),
        "V x C + V too many": lambda s: count(s, tied=False) + s.vocab_size,
        "the tables of tokens and positions":
            lambda s: count(s, places=False) - s.vocab_size * s.n_embd,
        "and the one at the end are missing": without(norms=False, last=False),
        "half of each norm is missing":
            lambda s: count(s) - 2 * s.n_embd * s.n_layer - s.n_embd,
        "the bias of a layer, or half a norm": lambda s: count(s) - s.n_embd * s.n_layer,
        "there is a projection": lambda s: count(s) - s.n_embd**2 * s.n_layer,
        "T x T a block too many": lambda s: count(s) + s.block_size**2 * s.n_layer,
        "T x T too many": lambda s: count(s) + s.block_size**2,
        "one block too many": lambda s: count(replace(s, n_layer=s.n_layer + 1)),
        "the biases of the linear layers": without(biases=False),
        "the biases of query, key and value": without(qkv=False),
        ": V too many: the lm_head has no bias": lambda shape: count(shape) + shape.vocab_size,
        "each with a gain and a bias": lambda s: count(s) - 2 * s.n_embd * s.n_layer,
        "the tokens' V x C are": lambda shape: count(shape) - shape.vocab_size * shape.n_embd,
        "only one block is counted": lambda shape: count(replace(shape, n_layer=1)),
        "you get 124,439,808, and": lambda shape: 124_439_808,
    }),
    Wrong("weight_after", {
        "it is a power, and not a product": lambda w, n, r, d: w * (1 - n * r * d),
        "the learning rate is missing": lambda w, n, r, d: w * (1 - d) ** n,
        "whatever is left": lambda w, n, r, d: w - n * r * d,
        "rate and decay are added": lambda w, n, r, d: w * (1 - r - d) ** n,
        "the sign is lost": lambda w, n, r, d: abs(w) * (1 - r * d) ** n,
        "divided by 1 plus rate": lambda w, n, r, d: w / (1 + r * d) ** n,
        "the factor is rate times decay, which": lambda w, n, r, d: w * (r * d) ** n,
        "raised to a power too": lambda w, n, r, d: (w * (1 - r * d)) ** n,
        "one step too many": lambda w, n, r, d: w * (1 - r * d) ** (n + 1),
        "one step alone": lambda w, n, r, d: w * (1 - r * d),
        "the decay is missing": lambda w, n, r, d: w * (1 - r) ** n,
        "what is gone": lambda w, n, r, d: w - w * (1 - r * d) ** n,
        "is taken as 1": lambda w, n, r, d: (1 - r * d) ** n,
        "the steps make it larger": lambda w, n, r, d: w * (1 + r * d) ** n,
        "one step too few": lambda w, n, r, d: w * (1 - r * d) ** (n - 1),
        "the limit of many tiny steps": lambda w, n, r, d: w * math.exp(-n * r * d),
    }),
    Wrong("rescue_experiment", {
        "the best loss is above the last": table(best_loss=[3.5, 2.88, 2.90, 2.86, 2.80, 2.43]),
        "are one and the same loss": table(best_step=[90, 90, 90, 90, 300, 300]),
        "A best step is one that was measured": table(best_step=[3, 3, 3, 3, 8, 10]),
        "`dropout` 0.0 and 0.2 have": table(
            last_loss=[3.07137, 3.07137, 3.07137, 2.99, 2.85, 2.43]),
        "`weight_decay` 0.1 and 1.0 have": table(
            last_loss=[3.07137, 2.92, 2.93, 3.07137, 2.85, 2.43]),
        "0 rows for dropout 0.4, weight_decay 0.1, n_chars 3000": RIGHT.drop(2),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("rescue_experiment", {
        "as it is for the *training* loss": table(best_step=6 * [300]),
        "`n_chars` 3000 and 30000 have": table(
            last_loss=[3.07137, 2.92, 2.93, 2.99, 2.85, 3.07137],
            best_loss=[2.89, 2.88, 2.90, 2.86, 2.80, 2.89]),
        "are the two swapped": table(best_loss=[2.89, 2.88, 2.90, 2.86, 2.80, 3.4],
                                       last_loss=[3.071, 2.92, 2.93, 2.99, 2.85, 3.4]),
        "does it see the future": table(best_loss=[0.9, 0.8, 0.8, 0.8, 0.8, 0.4]),
    }, facts=(ANOTHER_TEXT,), known=True),
]  # fmt: skip
