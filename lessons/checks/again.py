"""Plumbing · one cheap row of an experiment, trained again by its check."""

from collections.abc import Callable

from lessons.batches import get_batch
from lessons.checks.bands import Bands
from lessons.checks.tables import label
from lessons.dataset import encode_and_split
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss, train

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

SEED = 1337  # the lessons' own
SAME_BEGINNING, SAME_END = 0.002, 0.05  # of one seed, on two machines


def begin_again(
    rows: pd.DataFrame, n: int, text: str, new_model: Callable[[int], nn.Module]
) -> str:
    """Whether row n begins with the first batch's loss of a new model of the lesson's seed.

    For runs too long to be made again.
    """
    train_data, _, tokenizer = encode_and_split(text)
    torch.manual_seed(SEED)
    model, generator = new_model(tokenizer.vocab_size), torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        _, loss = model(*get_batch(train_data[:100_000], 32, 8, generator))
    same = abs(loss.item() - rows.first_loss.iloc[n]) < SAME_BEGINNING
    return (
        f"The row {label(rows, n)} {'begins' if same else 'does not begin'} where seed {SEED} does."
    )


def run_again(
    rows: pd.DataFrame, n: int, text: str, new_model: Callable[[int], nn.Module], **how: float
) -> str:
    """Train row n as the lesson does, if it began with the lesson's seed; says what was seen.

    `new_model` takes vocab_size; `how` is what `train` needs besides. Raises Mistake if the
    row ends elsewhere.
    """
    train_data, val_data, tokenizer = encode_and_split(text)
    some_train, some_val = train_data[:100_000], val_data[:20_000]
    torch.manual_seed(SEED)
    model, row = new_model(tokenizer.vocab_size), label(rows, n)
    first = estimate_loss(model, some_val, EVAL_BATCH_SIZE, 8, EVAL_ITERS)
    if abs(first - rows.first_loss.iloc[n]) > SAME_BEGINNING:
        return f"No row was run again: {row} does not begin where seed {SEED} does ({first:.3f})."
    losses = train(model, some_train, some_val, batch_size=32, block_size=8,
                   eval_interval=how["max_iters"], progress=tqdm(disable=True), **how)  # fmt: skip
    again = rows[["val_loss"]].iloc[[n]] * 0 + losses.val_loss.iloc[-1]
    bands = Bands(rows[["val_loss"]].iloc[[n]], again - SAME_END, again + SAME_END,
                  f"the one trained again here, with seed {SEED},")  # fmt: skip
    bands.explain()
    bands.keep()
    return f"The row with {row} was trained again here, with seed {SEED}, and ends there too."
