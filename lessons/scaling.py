"""Plumbing · the training loop at scale: rows, checkpoints, and one step after the other.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

import math
import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

from lessons.checkpoints import read_checkpoint, room_in, save_checkpoint
from lessons.compilation import compiled
from lessons.distributed import any_process, averaging, rank, shared_full_loss, world_size
from lessons.errors import BadInput, Stopped
from lessons.interrupts import stop_requests
from lessons.losses import COLUMNS, write_csv
from lessons.optimization import learning_rate_at
from lessons.precision import autocast
from lessons.tokens import as_ids
from lessons.train_step import train_step
from lessons.training_config import TrainingConfig
from lessons.training_state import TrainingState

# To look at a loss, the CPU must wait for the GPU: once in so many steps is enough.
CHECK_INTERVAL = 10


def evaluated(train_data: torch.Tensor, val_data: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The ids that losses are measured on: all of val_data, a quarter as many to train on."""
    n_train = len(val_data) // 4 + 2  # two tokens are the fewest that have a loss
    return as_ids(train_data[:n_train]), as_ids(val_data)


def micro_batch_size(config: TrainingConfig) -> int:
    """Sequences that one process learns from at once; BadInput if batch_size cannot be cut so."""
    n_shares = world_size() * config.grad_accum_steps
    if config.batch_size % n_shares:
        raise BadInput(
            f"batch_size {config.batch_size} cannot be shared out evenly: with {world_size()} "
            f"process(es) and grad_accum_steps {config.grad_accum_steps} it must be a multiple "
            f"of {n_shares}."
        )
    return config.batch_size // n_shares


def check_number(loss: float, step: int, config: TrainingConfig, folder: Path | None) -> None:
    """Raises BadInput if the loss of this step is infinite or not a number."""
    if not math.isfinite(loss):
        kept = (
            "the last good checkpoint is kept; go on from it with --resume and a lower "
            "--learning-rate, or begin again with one."
        )
        raise BadInput(
            f"The loss became {loss} at step {step}, with a learning rate of "
            f"{learning_rate_at(step, config):.2g}: {kept if folder else 'try a lower one.'}"
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
    size, start = micro_batch_size(config), time.perf_counter() - state.seconds
    samples = evaluated(train_data, val_data)
    if compile:
        example = samples[1][: model.block_size].repeat(size, 1)  # (B, T)
        fast = compiled(model, example.to(state.device), dtype)
    else:
        fast = averaging(model)
    bar = progress
    if bar is None:
        # Not `disable=False` for rank 0: that would overrule the variable TQDM_DISABLE.
        silent = {"disable": True} if rank() > 0 else {}
        bar = tqdm(total=config.max_iters, initial=state.step, unit="step", ncols=100, **silent)
    unseen: list[torch.Tensor] = []  # losses that nobody has looked at, since `last_look`
    last_look = time.perf_counter()

    def look() -> None:
        losses, seconds = torch.stack(unseen).tolist(), time.perf_counter() - last_look
        for step, loss in enumerate(losses, state.step - len(losses)):
            check_number(loss, step, config, folder)
        rate = len(losses) * config.batch_size * model.block_size / seconds
        val_loss = state.rows[-1][2]
        bar.set_postfix_str(
            f"loss={losses[-1]:.3f}, val_loss={val_loss:.3f}, {rate:,.0f} tokens/s", refresh=False
        )

    def record() -> None:
        # The model itself: a compiled one would be compiled again for each size of batch.
        with autocast(state.device, dtype):
            losses = [shared_full_loss(model, tokens, size) for tokens in samples]
        check_number(losses[-1], state.step, config, folder)
        state.rows.append((state.step, *losses, time.perf_counter() - start))
        bar.set_postfix_str(f"train_loss={losses[0]:.3f}, val_loss={losses[-1]:.3f}")

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

    # Without a folder there is nothing to save: Ctrl-C then ends the run at once, as usual.
    watch = stop_requests() if folder else nullcontext(lambda: False)
    with bar, watch as stop_requested:
        # What stands before train_step is done before each step, and once more after the last.
        while True:
            stop = any_process(stop_requested())
            done = state.step >= config.max_iters
            recorded = bool(state.rows) and state.rows[-1][0] == state.step  # before a resume
            due = (done or state.step % config.eval_interval == 0) and not recorded
            if unseen and (due or stop or len(unseen) == CHECK_INTERVAL):
                look()
                unseen.clear()
            if due:
                record()
            if due or stop and not recorded:
                save()
            if done:
                break
            if stop:
                raise Stopped(
                    f"Stopped at step {state.step} of {config.max_iters}, which is saved: the "
                    "same command with --resume goes on from there."
                )
            if not unseen:
                last_look = time.perf_counter()
            unseen.append(train_step(fast, state, train_data))
            bar.update()
    return state.losses()
