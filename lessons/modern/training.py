"""Plumbing · a short run: Muon for the matrices inside, AdamW for the rest, down to zero.

Shapes: N characters of a text, B batch, T time (positions), V vocab_size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lessons.arguments import COUNT, RATE, Range
from lessons.batches import get_batch
from lessons.corpus import check_length
from lessons.modern.muon import Muon

import torch
import torch.nn as nn

PART = Range(0, 1, whole=False)


@dataclass(frozen=True)
class ShortRun:
    """How to train for a few minutes; raises BadInput for impossible settings."""

    batch_size: int = 12
    matrix_rate: float = 0.02  # of Muon
    learning_rate: float = 4e-3  # of AdamW
    warmup: float = 0.03  # the first part of the run, in which the rates rise
    cooldown: float = 0.7  # the last part, in which they fall to 0
    newton_schulz: int = 3  # steps of Muon's iteration
    hidden: float = 0.2  # the part of the sequences that are not told what counting says

    def __post_init__(self):
        ranges = {"batch_size": COUNT, "matrix_rate": RATE, "learning_rate": RATE, "warmup": PART,
                  "cooldown": PART, "newton_schulz": COUNT, "hidden": PART}  # fmt: skip
        for name, numbers in ranges.items():
            numbers.check(name, getattr(self, name))


def height(done: float, run: ShortRun) -> float:
    """The rate as a part of the highest, when this part of the run is done: up, level, and down."""
    return min(done / max(run.warmup, 1e-9), 1.0, (1 - done) / max(run.cooldown, 1e-9))


def start_from_nothing(gpt: nn.Module) -> None:
    """The blocks and the head of a ModernGPT add nothing at first, so a rate may be high at once.

    The embeddings are as loud as those of lesson 3's frame.

    Zhang et al., Fixup, 2019; Jordan et al., modded-nanogpt, 2024.
    """
    for block in gpt.body:
        nn.init.zeros_(block.attn.proj.weight)
        nn.init.zeros_(block.mlp.down.weight)
    nn.init.zeros_(gpt.lm_head.weight)
    nn.init.normal_(gpt.token_embedding.weight, std=0.5**0.5)


def train_short(
    model: nn.Module, data: torch.Tensor, run: ShortRun, done: Callable[[int], float], seed: int,
    told: torch.Tensor | None = None,
) -> int:  # fmt: skip
    """Train a ModernGPT, or a JoinedGPT that is `told` (N, V) log-shares; returns the steps taken.

    `done(step)` says which part of the run is over before this step, of its steps or of its time.
    """
    gpt = getattr(model, "gpt", model)  # of a JoinedGPT
    inside = [p for p in gpt.body.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if all(p is not matrix for matrix in inside)]
    rows = gpt.config.n_embd // gpt.config.n_head
    muon = Muon(inside, run.matrix_rate, rows=rows, steps=run.newton_schulz)
    adam = torch.optim.AdamW(rest, run.learning_rate, betas=(0.9, 0.95), weight_decay=0, fused=True)
    optimizers = [(muon, run.matrix_rate), (adam, run.learning_rate)]
    generator, step = torch.Generator().manual_seed(seed), 0
    while (part := done(step)) < 1:
        for optimizer, rate in optimizers:
            optimizer.param_groups[0]["lr"] = rate * height(part, run)
        loss = batch_loss(model, data, run, generator, told)
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        step += 1
    return step


def batch_loss(
    model: nn.Module, data: torch.Tensor, run: ShortRun, generator: torch.Generator,
    told: torch.Tensor | None,
) -> torch.Tensor:  # fmt: skip
    """The loss on a random batch; some sequences are told equal shares, which say nothing."""
    if told is None:
        return model(*get_batch(data, run.batch_size, model.block_size, generator))[1]
    # `get_batch`, but with the places too, for they say which log-shares belong to them.
    T = model.block_size
    check_length(data, T)
    starts = torch.randint(len(data) - T, (run.batch_size, 1), generator=generator)  # (B, 1)
    places = starts + torch.arange(T)  # (B, T)
    # Who is told everything never learns what counting knows, and leans on it too much.
    heard = torch.rand(run.batch_size, 1, 1, generator=generator) >= run.hidden
    log_shares = told[places].where(heard, -math.log(told.shape[1]))
    return model(data[places], data[places + 1], log_shares)[1]
