"""Plumbing · how long a call takes, on a CPU or a GPU."""

import statistics
import time
from collections.abc import Callable

import torch

CPU = torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has finished its work; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_call(
    call: Callable[[], object], times: int = 1, device: torch.device = CPU
) -> float:
    """The mean time of `times` calls in a row, in seconds; work that a GPU has queued counts."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(times):
        call()
    synchronize(device)
    return (time.perf_counter() - start) / times


def calls_per_second(call: Callable[[], object], seconds: float) -> float:
    """How many calls in a row fit into a second, from as many as fill `seconds`, on a CPU."""
    n_calls, taken = 0, 0.0
    while taken < seconds:
        taken += seconds_per_call(call)
        n_calls += 1
    return n_calls / taken


def median_ms(call: Callable[[], object], repeats: int = 15) -> float:
    """The median time of `repeats` calls, in milliseconds, after one that is not counted."""
    call()  # warm up
    return statistics.median(1000 * seconds_per_call(call) for _ in range(repeats))
