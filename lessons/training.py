"""Lesson 1 · the training loop, and the loss estimated on the way.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

import time
from collections.abc import Callable

from lessons.batches import get_batch
from lessons.evaluation import evaluation, full_loss

import pandas as pd
import torch
import torch.nn as nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

# A few large batches: without gradients they cost less than many small ones.
EVAL_BATCH_SIZE, EVAL_ITERS = 640, 10


def estimate_loss(
    model: nn.Module,
    data: torch.Tensor,
    batch_size: int,
    block_size: int,
    eval_iters: int,
    seed: int = 1337,
) -> float:
    """The mean loss over `eval_iters` random batches of `data`, (N,)."""
    device = next(model.parameters()).device
    # The same batches at every call: a curve then moves only when the model does.
    generator = torch.Generator().manual_seed(seed)
    losses = []
    with evaluation(model):
        for _ in range(eval_iters):
            xb, yb = get_batch(data, batch_size, block_size, generator)
            _, loss = model(xb.to(device), yb.to(device))
            losses.append(loss.item())
    return sum(losses) / eval_iters


def train(
    model: nn.Module,
    train_data: torch.Tensor,
    val_data: torch.Tensor,
    *,
    batch_size: int,
    block_size: int,
    max_iters: int,
    learning_rate: float,
    eval_interval: int = 500,
    seed: int = 1337,
    progress: tqdm | None = None,
) -> pd.DataFrame:
    """Train `model` in place with AdamW; returns the columns step, train_loss, val_loss, seconds.

    One row every `eval_interval` steps, estimated. The model ends with the mean of its weights
    over the last tenth of the steps (Polyak and Juditsky, 1992); the last row is its full_loss
    on both splits. `seed` fixes the batches; `progress` replaces the progress bar and is closed.
    Raises BadInput if a split is too short for block_size.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
    average = AveragedModel(model)
    bar = tqdm(total=max_iters, unit="step", ncols=100) if progress is None else progress
    rows, start = [], time.perf_counter()

    def estimate(data: torch.Tensor) -> float:
        return estimate_loss(model, data, EVAL_BATCH_SIZE, block_size, EVAL_ITERS)

    def record(step: int, measure: Callable[[torch.Tensor], float]) -> None:
        train_loss, val_loss = measure(train_data), measure(val_data)
        rows.append((step, train_loss, val_loss, time.perf_counter() - start))
        bar.set_postfix(train_loss=f"{train_loss:.3f}", val_loss=f"{val_loss:.3f}")

    with bar:
        for step in range(max_iters):
            if step % eval_interval == 0:
                record(step, estimate)
            xb, yb = get_batch(train_data, batch_size, block_size, generator)
            _, loss = model(xb.to(device), yb.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            # With a fixed learning rate the weights tremble to the end; their mean is steadier.
            if step >= max_iters * 9 // 10:
                average.update_parameters(model)
            bar.update()
        model.load_state_dict(average.module.state_dict())
        record(max_iters, lambda data: full_loss(model, data, block_size))
    return pd.DataFrame(rows, columns=["step", "train_loss", "val_loss", "seconds"])
