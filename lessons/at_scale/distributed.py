"""Plumbing · several processes that train one model, each on its share of every batch.

torchrun starts them; a process on its own can call every function here too.
Shapes: B batch, T time (positions).
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from lessons.errors import BadInput, Stopped, refused
from lessons.presets import TrainingConfig

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

Result = TypeVar("Result")
CPU = torch.device("cpu")


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0; only rank 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def started_by_torchrun() -> bool:
    """Whether torchrun started this process; raises BadInput if only its variables are here."""
    if "LOCAL_RANK" not in os.environ:
        return False
    names = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT")
    numbers = [os.environ.get(name, "") for name in names]
    right = all(number.isdecimal() for number in numbers) and "TORCHELASTIC_RUN_ID" in os.environ
    if not right or not int(numbers[1]) < int(numbers[2]) or int(numbers[3]) > 65535:
        raise BadInput(
            "LOCAL_RANK is set, as in a process of torchrun, but torchrun did not start this one: "
            "unset LOCAL_RANK to train in one process, or start it with torchrun."
        )
    return True


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; yields the device of this one.

    Raises BadInput when another process of the run dies or cannot be reached.
    """
    if not started_by_torchrun():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if device.index >= torch.cuda.device_count():
            raise BadInput(
                f"torchrun started more processes than the {torch.cuda.device_count()} GPUs here: "
                "give --nproc_per_node a smaller number."
            )
        torch.cuda.set_device(device)
    try:
        # Gradients on a GPU go through NCCL; everything small goes through gloo, on the CPU.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield device
    except (dist.DistError, RuntimeError) as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            place = f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}"
            raise BadInput(
                f"Another process of this run has died or cannot be reached, so {place} stopped "
                "too: start the run again with --resume."
            ) from None
        raise
    except (Stopped, SystemExit) as end:  # raised in all processes together
        silent = rank() > 0 and isinstance(end, Stopped)  # rank 0 says how to resume
        _leave()
        if silent:
            sys.exit(130)
        raise
    _leave()


def _leave() -> None:
    # Wrappers of compiled models that outlive their group sometimes abort the process at its end.
    gc.collect()
    dist.destroy_process_group()


def first_on_main(work: Callable[[], Result]) -> Result:
    """Let rank 0 do `work`, and give its result to every process.

    Rank 0 prints a BadInput or what the system refused, once, and all processes exit with status 2.
    """
    if world_size() == 1:
        return work()
    result: list = [None]
    if rank() == 0:
        try:
            result = [work()]
        except (BadInput, OSError) as error:
            result = [refused(error) if isinstance(error, OSError) else error]
            print(f"error: {result[0]}", file=sys.stderr, flush=True)
    dist.broadcast_object_list(result, device=CPU)
    if isinstance(result[0], BadInput):
        sys.exit(2)
    return result[0]


def averaging(model: nn.Module) -> nn.Module:
    """The model, or with many processes a wrapper whose `backward` averages their gradients."""
    if world_size() == 1:
        return model
    # Gradients as views of the buffers that are sent: without accumulation none is held twice.
    return DistributedDataParallel(model, gradient_as_bucket_view=True)


def micro_batch_size(config: TrainingConfig) -> int:
    """Sequences that one process learns from at once; BadInput if they do not come out even."""
    n_shares = world_size() * config.grad_accum_steps
    if config.batch_size % n_shares:
        raise BadInput(
            f"batch_size {config.batch_size} cannot be split evenly: with {world_size()} "
            f"process(es) and grad_accum_steps {config.grad_accum_steps} it must be a multiple "
            f"of {n_shares}."
        )
    return config.batch_size // n_shares


def my_share(batch: torch.Tensor) -> torch.Tensor:
    """(B, T) -> this process's rows, (B / world_size, T)."""
    return batch.chunk(world_size())[rank()]


def weighted_mean(value: float, weight: float) -> float:
    """The mean over all processes of their values, each with its weight."""
    sums = torch.tensor([value * weight, weight], dtype=torch.float64)
    if world_size() > 1:
        dist.all_reduce(sums)
    return (sums[0] / sums[1]).item()


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process, so that all of them can act on it together."""
    if world_size() == 1:
        return flag
    flags = torch.tensor(int(flag))
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags)


def gather(thing: object) -> list:
    """The `thing` of each process, by rank; all of them must call this, and all get the list."""
    if world_size() == 1:
        return [thing]
    things = [None] * world_size()
    dist.all_gather_object(things, thing)
    return things
