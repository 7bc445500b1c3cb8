"""What the measurements of counting share: settings, choices, a trained GPT of the small shape."""

from dataclasses import replace

from lessons.at_scale.loop import train_at_scale
from lessons.counting import CountModel, log_shares
from lessons.errors import BadInput
from lessons.gpt import GPT
from lessons.presets import PRESETS

import pandas as pd
import torch

PRESET = PRESETS["small"]
WAY = ["learning_rate", "dropout", "max_iters"]  # of training


def counted_loss(model: CountModel, val: torch.Tensor, before: torch.Tensor) -> float:
    """The mean loss on `val`, which follows `before`."""
    return -log_shares(model, val, before).mean().item()


def trained(
    data: torch.Tensor, val: torch.Tensor, V: int, way: pd.Series, seed: int
) -> tuple[GPT, float]:
    """A GPT of the preset's shape, trained in this way, and its last loss on `val`."""
    torch.manual_seed(seed)
    model = GPT(replace(PRESET.shape, vocab_size=V), way.dropout)
    steps = int(way.max_iters)
    config = replace(PRESET.training, learning_rate=way.learning_rate, dropout=way.dropout,
                     max_iters=steps, eval_interval=steps)  # fmt: skip
    return model, train_at_scale(model, data, val, config, seed=seed).val_loss.iloc[-1]


def best(sweep: pd.DataFrame, n_chars: int) -> pd.Series:
    """The row of a sweep with the lowest loss at this length; raises BadInput if it has none."""
    rows = sweep[sweep.n_chars == n_chars]
    if rows.empty:
        raise BadInput(f"The sweep has no rows for {n_chars:,} characters: run counting.py first, "
                       "on the same text.")  # fmt: skip
    return rows.loc[rows.loss.idxmin()]
