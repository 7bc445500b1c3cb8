"""Lesson 8 · the training loop at scale.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

import math
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from lessons.batches import get_batch
from lessons.checkpoints import read_checkpoint, room_in, save_checkpoint
from lessons.distributed import any_process, my_share, rank, weighted_mean, world_size
from lessons.errors import BadInput, Stopped
from lessons.interrupts import stop_requests
from lessons.losses import COLUMNS, write_csv
from lessons.optimization import TrainingConfig, learning_rate_at
from lessons.precision import autocast, compiled
from lessons.training import full_loss
from lessons.training_state import TrainingState

# To look at a loss, the CPU must wait for the GPU: once in so many steps is enough.
CHECK_INTERVAL = 10
EVAL_TOKENS = 2048  # at least so many at once


def as_ids(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens of any integer type as the ids that a model takes, int64."""
    # PyTorch reads a uint16 file as int16, where ids above 32,767 are negative.
    return tokens.long() & 0xFFFF


def micro_batch_size(config: TrainingConfig) -> int:
    """Sequences that one process learns from at once; BadInput if batch_size cannot be cut so."""
    n_shares = world_size() * config.grad_accum_steps
    if config.batch_size % n_shares:
        raise BadInput(
            f"batch_size {config.batch_size} cannot be shared out evenly: {world_size()} "
            f"processes with grad_accum_steps {config.grad_accum_steps} need a multiple of "
            f"{n_shares}."
        )
    return config.batch_size // n_shares


def shared_full_loss(model: nn.Module, data: torch.Tensor, batch_size: int) -> float:
    """The `full_loss` of `data`, (N,), its windows shared out among the processes."""
    block_size = model.block_size
    # Small calls cost more than their tokens; what fits with gradients fits without.
    batch_size = max(batch_size, EVAL_TOKENS // block_size)
    n_windows = -(-(len(data) - 1) // block_size)
    n_mine = -(-n_windows // world_size())
    first = min(rank() * n_mine * block_size, len(data) - 1)
    mine = data[first : first + n_mine * block_size + 1]
    n_targets = len(mine) - 1  # 0 in the last processes, if windows are few
    loss = full_loss(model, mine, block_size, batch_size) if n_targets else 0.0
    return weighted_mean(loss, n_targets)


def train_step(fast: nn.Module, state: TrainingState, train_data: torch.Tensor) -> torch.Tensor:
    """One step of AdamW, the model called through `fast`; returns the loss, a scalar.

    A process learns from its share of the batch, in micro-batches; the loss is that share's.
    """
    config, scaler = state.config, state.scaler
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate_at(state.step, config)
    # Every process draws the same batch: how many there are changes nothing but dropout.
    batch = get_batch(train_data, config.batch_size, state.model.block_size, state.batch_rng)
    xb, yb = (as_ids(my_share(ids)) for ids in batch)  # each (B, T)
    if state.device.type == "cuda":
        # From pinned memory the GPU fetches them by itself, while the CPU goes on.
        xb, yb = (ids.pin_memory().to(state.device, non_blocking=True) for ids in (xb, yb))
    else:
        xb, yb = xb.to(state.device), yb.to(state.device)
    total = torch.zeros((), device=state.device)
    micro_batches = zip(*(ids.chunk(config.grad_accum_steps) for ids in (xb, yb)), strict=True)
    for i, (x, y) in enumerate(micro_batches, 1):
        # The processes average their gradients once, with the last micro-batch.
        apart = world_size() > 1 and i < config.grad_accum_steps
        with fast.no_sync() if apart else nullcontext():
            with autocast(state.device, state.dtype):
                _, loss = fast(x, y)
            loss = loss / config.grad_accum_steps
            scaler.scale(loss).backward()
        total += loss.detach()
    scaler.unscale_(state.optimizer)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), config.grad_clip)
    if not scaler.is_enabled():  # a scaler itself leaves out steps with infinite gradients
        total += 0 * norm  # not a number if the norm is none: seen before it can be saved
    scaler.step(state.optimizer)
    scaler.update()
    state.optimizer.zero_grad()
    state.step += 1
    return total


def check_number(loss: float, step: int, config: TrainingConfig) -> None:
    """Raises BadInput if the loss of this step is infinite or not a number."""
    if not math.isfinite(loss):
        raise BadInput(
            f"The loss became {loss} at step {step}, with a learning rate of "
            f"{learning_rate_at(step, config):.2g}: nothing was saved since it was good; go on "
            "from there, or start again, with a lower learning rate."
        )


def train_at_scale(
    model: nn.Module,
    train_data: torch.Tensor,
    val_data: torch.Tensor,
    config: TrainingConfig,
    *,
    seed: int = 1337,
    dtype: torch.dtype = torch.float32,
    compile: bool = False,
    folder: Path | None = None,
    about: dict | None = None,
    resume_from: Path | None = None,
    progress: tqdm | None = None,
) -> pd.DataFrame:
    """Train `model` in place; returns the columns step, train_loss, val_loss, seconds.

    One row every eval_interval steps and one at the end: val_loss is the full_loss of `val_data`,
    train_loss that of a quarter as many tokens of `train_data`. With a `folder`, each row comes
    with a checkpoint that also holds `about`; Ctrl-C saves one more and raises Stopped.
    `resume_from` is the file of such a checkpoint. Raises BadInput for a batch that cannot be
    shared out, a split that is too short, a loss that is no longer a number, and a full disk.
    """
    state = TrainingState(model, config, dtype, seed)
    if resume_from is not None:
        state.load_state_dict(read_checkpoint(resume_from))
    size = micro_batch_size(config)
    samples = [as_ids(tokens) for tokens in (train_data[: len(val_data) // 4 + 2], val_data)]
    start = time.perf_counter() - state.seconds
    fast = model
    if compile:
        example = samples[1][: model.block_size].repeat(size, 1)  # (B, T)
        fast = compiled(model, example.to(state.device), dtype)
    if world_size() > 1:
        fast = DistributedDataParallel(fast)
    bar = progress
    if bar is None:
        bar = tqdm(total=config.max_iters, initial=state.step, unit="step", ncols=100,
                   disable=rank() > 0)  # fmt: skip

    def record() -> None:
        with autocast(state.device, dtype):
            losses = [shared_full_loss(model, tokens, size) for tokens in samples]
        check_number(losses[-1], state.step, config)
        state.rows.append((state.step, *losses, time.perf_counter() - start))

    def save() -> None:
        state.seconds = time.perf_counter() - start
        checkpoint = state.state_dict() | {"about": about}  # every process has a part in it
        if folder and rank() == 0:
            step, _, val_loss, _ = state.rows[-1]
            is_best = step == state.step and val_loss == min(row[2] for row in state.rows)
            with room_in(folder):
                # The CSV first: should a kill come between them, its last row is measured again.
                write_csv(folder / "losses.csv", state.losses().assign(seed=seed)[COLUMNS])
                save_checkpoint(folder, checkpoint, is_best)

    unseen: list[torch.Tensor] = []  # losses that nobody has looked at
    with bar, stop_requests() if folder else nullcontext(bool) as stop_requested:
        while True:
            stop = any_process(stop_requested())
            last = state.step >= config.max_iters
            due = last or state.step % config.eval_interval == 0
            if unseen and (due or stop or len(unseen) == CHECK_INTERVAL):
                losses = torch.stack(unseen).tolist()
                for step, loss in enumerate(losses, state.step - len(losses)):
                    check_number(loss, step, config)
                unseen.clear()
                rate = (bar.format_dict["rate"] or 0) * config.batch_size * model.block_size
                bar.set_postfix_str(f"loss={losses[-1]:.3f}, {rate:,.0f} tokens/s", refresh=False)
            if due and (not state.rows or state.rows[-1][0] < state.step):
                record()
                save()
            elif stop:
                save()
            if last:
                break
            if stop:
                raise Stopped(
                    f"Stopped at step {state.step} of {config.max_iters}, which is saved: the "
                    "same command with --resume goes on from there."
                )
            unseen.append(train_step(fast, state, train_data))
            bar.update()
    return state.losses()
