"""Plumbing · models compiled on request, by one process or by many.

Shapes: B batch, T time (positions).
"""

import sys
from contextlib import nullcontext

import torch
import torch.nn as nn

from lessons.distributed import any_process, averaging, world_size
from lessons.precision import autocast


def compiled(model: nn.Module, idx: torch.Tensor, dtype: torch.dtype) -> nn.Module:
    """What `averaging` makes of the model, its many small operations merged into few.

    torch.compile is tried on a step with `idx`, (B, T), whose gradients are thrown away. Where
    that fails in any process, all of them go on with the model as it is, and the reason is told
    on stderr: most often there is no compiler.
    """
    gpus = [idx.device] if idx.device.type == "cuda" else []
    try:
        # In this order PyTorch cuts what it compiles into pieces, so that the processes average
        # the first gradients while they still compute the last ones.
        fast = averaging(torch.compile(model))
        # The trial must not change what dropout does later, nor keep a process waiting for one
        # that fails.
        alone = fast.no_sync() if world_size() > 1 else nullcontext()
        with torch.random.fork_rng(gpus), alone:
            with autocast(idx.device, dtype):
                # Not idx twice: what is compiled for one tensor does not serve for two.
                _, loss = fast(idx, idx.clone())
            loss.backward()
    except Exception as error:  # what goes wrong depends on the machine's compilers
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"Not compiled, which is slower but gives the same losses ({reason}).",
              file=sys.stderr)  # fmt: skip
        fast = None
    model.zero_grad()
    return averaging(model) if any_process(fast is None) else fast
