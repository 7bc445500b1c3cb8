"""Plumbing · the training loop at scale: rows, checkpoints, and one step after the other.

Shapes: N tokens in a split, B batch, T time (positions). Losses are in nats per character.
"""

from contextlib import nullcontext
from pathlib import Path

from lessons.at_scale.compilation import compiled
from lessons.at_scale.description import RunDescription
from lessons.at_scale.distributed import any_process, averaging, micro_batch_size
from lessons.at_scale.interrupts import stop_requests
from lessons.at_scale.precision import autocast
from lessons.at_scale.progress import Progress
from lessons.at_scale.run_folder import save
from lessons.at_scale.shared_loss import eval_ids, shared_full_loss
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.errors import Stopped
from lessons.presets import TrainingConfig

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm


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
    run: RunDescription | None = None,
    resume_from: dict | None = None,
    progress: tqdm | None = None,
) -> pd.DataFrame:
    """Train `model` in place; returns the columns step, train_loss, val_loss, seconds.

    One row every eval_interval steps and one at the end: val_loss is the full_loss of `val_data`,
    (N,), train_loss that of a quarter as many tokens of `train_data`. With a `folder`, each row
    comes with a checkpoint that also describes the `run`; Ctrl-C saves one more and raises
    Stopped. `resume_from` is what such a checkpoint holds, and is emptied: it takes as much memory
    as the run itself. Raises BadInput for a batch that cannot be split evenly, a split that is too
    short, a loss that is no longer a number, and a full disk.
    """
    state = TrainingState(model, config, dtype, seed)
    if resume_from is not None:
        state.load_state_dict(resume_from)
        resume_from.clear()
    size, samples = micro_batch_size(config), eval_ids(train_data, val_data)
    fast = _accelerated(state, samples[1], size) if compile else averaging(model)
    shown = Progress(state, saved=folder is not None, bar=progress)
    # Without a folder there is nothing to save: Ctrl-C then ends the run at once, as usual.
    watch = stop_requests() if folder else nullcontext(lambda: False)
    with shown.shown(), watch as stop_requested:
        # What stands before train_step is done before each step, and once more after the last.
        while True:
            stop = any_process(stop_requested())
            done = state.step >= config.max_iters
            recorded = bool(state.rows) and state.rows[-1][0] == state.step  # before a resume
            due = (done or state.step % config.eval_interval == 0) and not recorded
            shown.check(now=due or stop)
            if due:
                _record(state, samples, size, shown)
            if due or stop and not recorded:
                save(folder, state, run)
            if done:
                return state.losses()
            if stop:
                raise Stopped(
                    f"Stopped at step {state.step} of {config.max_iters}, which is saved: the "
                    "same command with --resume continues from there."
                )
            shown.start_step()
            shown.end_step(train_step(fast, state, train_data))


def _accelerated(state: TrainingState, data: torch.Tensor, size: int) -> nn.Module:
    """The compiled model, tried on `size` sequences of `data`, (N,)."""
    example = data[: state.model.block_size].repeat(size, 1)  # (B, T)
    return compiled(state.model, example.to(state.device), state.dtype)


def _record(
    state: TrainingState, samples: tuple[torch.Tensor, ...], size: int, shown: Progress
) -> None:
    """Measure the losses of both samples, (N,), show them, and add them to the state's rows."""
    shown.bar.set_postfix_str("evaluating", refresh=False)
    # The model itself: a compiled one would be recompiled for each size of batch.
    with autocast(state.device, state.dtype):
        losses = [shared_full_loss(state.model, tokens, size) for tokens in samples]
    shown.show_losses(*losses)
    state.rows.append((state.step, *losses, state.seconds))
