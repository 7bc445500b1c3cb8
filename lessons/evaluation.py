"""Plumbing · a model in evaluation mode, and its loss over a whole split.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

from contextlib import contextmanager

from lessons.errors import BadInput

import torch
import torch.nn as nn
import torch.nn.functional as F

# Of every table of losses: a row for each evaluation of each seed, seconds since it began.
COLUMNS = ["seed", "step", "train_loss", "val_loss", "seconds"]


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


def device_of(model: nn.Module) -> torch.device:
    """Where a model's weights are; the CPU for a model that has none, such as counts."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def windows(data: torch.Tensor, block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a text cut end to end, (N,) -> twice (N / block_size, block_size).

    What the last window lacks has the target -100, cross_entropy's mark for "no target here".
    Raises BadInput for fewer than two tokens.
    """
    if len(data) < 2:
        raise BadInput(f"A loss needs at least 2 tokens, but there are {len(data)}.")
    n_missing = -(len(data) - 1) % block_size
    inputs = F.pad(data[:-1], (0, n_missing)).view(-1, block_size)
    return inputs, F.pad(data[1:], (0, n_missing), value=-100).view(-1, block_size)


def full_loss(
    model: nn.Module, data: torch.Tensor, block_size: int, batch_size: int = 512
) -> float:
    """The mean loss over all of `data`, (N,): every token but the first is predicted once.

    The data is cut into windows of block_size, end to end, so nothing is random; early in
    a window the context is short, as in training. Raises BadInput for fewer than two tokens.
    """
    device, total = device_of(model), 0.0
    inputs, targets = windows(data, block_size)
    with evaluation(model):
        for xb, yb in zip(inputs.split(batch_size), targets.split(batch_size), strict=True):
            _, loss = model(xb.to(device), yb.to(device))
            total += loss.item() * (yb != -100).sum().item()
    return total / (len(data) - 1)


def token_losses(
    model: nn.Module, data: torch.Tensor, block_size: int, batch_size: int = 512
) -> torch.Tensor:
    """The loss of each token but the first, (N,) -> (N - 1,), with the windows of `full_loss`."""
    device, losses = device_of(model), []
    inputs, targets = windows(data, block_size)
    with evaluation(model):
        for xb, yb in zip(inputs.split(batch_size), targets.split(batch_size), strict=True):
            logits, _ = model(xb.to(device))
            losses.append(
                F.cross_entropy(logits.flatten(0, 1).cpu(), yb.flatten(), reduction="none")
            )
    return torch.cat(losses)[: len(data) - 1]
