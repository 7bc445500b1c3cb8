"""Plumbing · one cheap row of an experiment, trained again by its check, or only begun."""

import functools
from collections.abc import Callable

from lessons.batches import get_batch
from lessons.checks.bands import ROUNDED, Bands
from lessons.checks.tables import label
from lessons.dataset import encode_and_split
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss, train

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

SEED = 1337  # the lessons' own
# One seed, one beginning, up to a table's three digits; the end may differ from brand to brand.
SAME_BEGINNING, SAME_END = ROUNDED, 0.05
NewModel = Callable[[int], nn.Module]  # takes vocab_size


def begins(rows: pd.DataFrame, n: int, text: str, new_model: NewModel,
           within: float = SAME_BEGINNING) -> bool:  # fmt: skip
    """Whether row n has the first loss of an untrained model of the lesson's seed."""
    _, some_val, model = _begun(text, new_model)
    first = estimate_loss(model, some_val, EVAL_BATCH_SIZE, 8, EVAL_ITERS)
    return abs(first - rows.first_loss.iloc[n]) < within


def begins_with_batch(rows: pd.DataFrame, n: int, text: str, new_model: NewModel) -> bool:
    """The same where the first loss is that of the first batch."""
    some_train, _, model = _begun(text, new_model)
    with torch.no_grad():
        _, loss = model(*get_batch(some_train, 32, 8, torch.Generator().manual_seed(SEED)))
    return abs(loss.item() - rows.first_loss.iloc[n]) < SAME_BEGINNING


def run_again(
    rows: pd.DataFrame, n: int, text: str, new_model: NewModel, max_iters: int, learning_rate: float
) -> str:
    """Train row n as the lesson does, if it began with the lesson's seed; says what was seen.

    Raises Mistake if the row ends elsewhere.
    """
    if not begins(rows, n, text, new_model):
        return f"No row was run again, for {label(rows, n)} does not begin where seed {SEED} does."
    some_train, some_val, model = _begun(text, new_model)
    losses = train(
        model, some_train, some_val, batch_size=32, block_size=8, max_iters=max_iters,
        learning_rate=learning_rate, eval_interval=max_iters, progress=tqdm(disable=True),
    )  # fmt: skip
    row = rows[["val_loss"]].iloc[[n]]
    right = row * 0 + losses.val_loss.iloc[-1]
    bands = Bands(row, right - SAME_END, right + SAME_END,
                  f"the one trained again here, with seed {SEED},")  # fmt: skip
    bands.explain()
    bands.keep()
    return f"Row {label(rows, n)} was trained again here, with seed {SEED}, and ends there too."


def _begun(text: str, new_model: NewModel) -> tuple[torch.Tensor, torch.Tensor, nn.Module]:
    """The lessons' `some_train` and `some_val`, and a new model of their seed."""
    train_data, val_data, vocab_size = _encoded(text)
    torch.manual_seed(SEED)
    return train_data[:100_000], val_data[:20_000], new_model(vocab_size)


@functools.lru_cache(maxsize=1)
def _encoded(text: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    train_data, val_data, tokenizer = encode_and_split(text)
    return train_data, val_data, tokenizer.vocab_size
