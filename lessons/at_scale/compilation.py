"""Plumbing · models compiled on request, by one process or by many.

Shapes: B batch, T time (positions).
"""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from lessons.at_scale.distributed import any_process, averaging, world_size
from lessons.at_scale.precision import autocast
from lessons.errors import first_line

import torch
import torch.nn as nn

Result = TypeVar("Result")


def compiled(model: nn.Module, idx: torch.Tensor, dtype: torch.dtype) -> nn.Module:
    """The model with its many small operations merged into few, then wrapped by `averaging`.

    torch.compile is tried on one step with `idx`, (B, T), whose gradients are thrown away. If that
    fails in any process, all of them use the model uncompiled, and stderr says why: most often
    there is no compiler.
    """
    fast = _tried(lambda: torch.compile(model))
    if any_process(fast is None):
        return averaging(model)
    # Compiled before it is wrapped, the model is split into pieces, so that the processes average
    # the first gradients while they still compute the last ones.
    fast = averaging(fast)
    loss = _tried(lambda: _step(fast, idx, dtype))
    model.zero_grad()
    return averaging(model) if any_process(loss is None) else fast


def _tried(work: Callable[[], Result]) -> Result | None:
    """The result of `work`, or None after printing why there is none."""
    try:
        return work()
    except Exception as error:  # what goes wrong depends on the machine's compilers
        print(f"Not compiled, which is slower but gives the same losses ({first_line(error)}).",
              file=sys.stderr)  # fmt: skip
        return None


def _step(fast: nn.Module, idx: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Forward and backward in this process alone, without a trace in the random states."""
    gpus = [idx.device] if idx.device.type == "cuda" else []
    alone = fast.no_sync() if world_size() > 1 else nullcontext()
    with torch.random.fork_rng(gpus), alone:
        with autocast(idx.device, dtype):
            # Not idx twice: code compiled for one tensor in both places does not work for two.
            _, loss = fast(idx, idx.clone())
        loss.backward()
    return loss
