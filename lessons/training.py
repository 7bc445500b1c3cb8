"""Lesson 1 · the training loop, and two ways to measure a loss.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager

import pandas as pd
import torch
import torch.nn as nn
import torch.nn.functional as F
from tqdm import tqdm

from lessons.batches import deal_batches, get_batch
from lessons.errors import BadInput


@contextmanager
def evaluation(model: nn.Module):
    """In a `with evaluation(model):` block dropout is off and no gradients are recorded."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


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


def full_loss(
    model: nn.Module, data: torch.Tensor, block_size: int, batch_size: int = 2048
) -> float:
    """The mean loss over all of `data`, (N,): every token but the first is predicted once.

    The data is cut into windows of block_size, end to end, so nothing is random; early in
    a window the context is short, as in training. Raises BadInput below two tokens.
    """
    if len(data) < 2:
        raise BadInput(f"A loss needs at least 2 tokens, but there are {len(data)}.")
    device = next(model.parameters()).device
    n_missing = -(len(data) - 1) % block_size  # what the last window lacks
    inputs = F.pad(data[:-1], (0, n_missing)).view(-1, block_size)
    # -100 is cross_entropy's mark for "no target here".
    targets = F.pad(data[1:], (0, n_missing), value=-100).view(-1, block_size)
    total = 0.0
    with evaluation(model):
        for xb, yb in zip(inputs.split(batch_size), targets.split(batch_size), strict=True):
            _, loss = model(xb.to(device), yb.to(device))
            total += loss.item() * (yb != -100).sum().item()
    return total / (len(data) - 1)


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

    One row every `eval_interval` steps, estimated; the last row is the full_loss of both
    splits. `seed` fixes the batches; `progress` replaces the progress bar. Raises BadInput if
    a split is too short for block_size.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    batches = deal_batches(train_data, batch_size, block_size, generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
    bar = tqdm(total=max_iters, unit="step") if progress is None else progress
    rows, start = [], time.perf_counter()

    def record(step: int, measure: Callable[[torch.Tensor], float]) -> None:
        train_loss, val_loss = measure(train_data), measure(val_data)
        rows.append((step, train_loss, val_loss, time.perf_counter() - start))
        bar.set_postfix(train_loss=f"{train_loss:.3f}", val_loss=f"{val_loss:.3f}")

    with bar:
        for step in range(max_iters):
            if step % eval_interval == 0:
                # A few large batches: without gradients they cost less than many small ones.
                record(step, lambda data: estimate_loss(model, data, 640, block_size, 10))
            xb, yb = next(batches)
            _, loss = model(xb.to(device), yb.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            bar.update()
        record(max_iters, lambda data: full_loss(model, data, block_size))
    return pd.DataFrame(rows, columns=["step", "train_loss", "val_loss", "seconds"])
