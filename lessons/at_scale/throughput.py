"""Plumbing · how many tokens per second a device trains on, in each of four ways.

Shapes: N tokens in a split.
"""

import gc
import math
import re
import time
from contextlib import nullcontext
from dataclasses import dataclass

from lessons.at_scale.compilation import compiled
from lessons.at_scale.precision import pick_dtype
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.device import device_name, dtype_name
from lessons.gpt import GPT, flops_per_token
from lessons.presets import Preset
from lessons.timing import synchronize

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# Dense bfloat16 (T4: float16) operations per second, from NVIDIA's data sheets; the first name
# that fits is taken.
PEAK_FLOPS = {
    "H100 NVL": 835e12,
    "H200 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "T4": 65e12,
}


@dataclass(frozen=True)
class Way:
    """One way to take the same training step."""

    name: str
    fused_attention: bool
    half: bool
    compile: bool


# Each adds one thing to the one before; float32 is PyTorch's default, without TF32.
WAYS = (
    Way("eager", fused_attention=False, half=False, compile=False),
    Way("SDPA", fused_attention=True, half=False, compile=False),
    Way("bf16", fused_attention=True, half=True, compile=False),
    Way("compile", fused_attention=True, half=True, compile=True),
)


def peak_flops(device: torch.device) -> float:
    """The device's peak in half precision, or NaN if PEAK_FLOPS does not list it."""
    name = device_name(device)
    found = (peak for key, peak in PEAK_FLOPS.items() if re.search(rf"\b{key}\b", name))
    return next(found, math.nan)


def throughput(
    way: Way, preset: Preset, train_data: torch.Tensor, device: torch.device, seconds: float
) -> dict:
    """Tokens per second of training steps, timed for `seconds` after the first few, and more.

    `train_data`, (N,), is where batches come from. Raises RuntimeError for a way that does
    not work here.
    """
    gc.collect()  # the last way's model must not count as this one's memory
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    torch.manual_seed(0)
    dtype = pick_dtype(device, preset.shape.n_embd) if way.half else torch.float32
    model = GPT(preset.shape, preset.training.dropout).to(device)
    state, block_size = TrainingState(model, preset.training, dtype, seed=0), model.block_size
    fast = model
    if way.compile:
        example = train_data[:block_size].repeat(preset.training.batch_size, 1)
        fast = compiled(model, example.to(device), dtype)
        if fast is model:
            raise RuntimeError("it cannot be compiled here")
    with nullcontext() if way.fused_attention else sdpa_kernel(SDPBackend.MATH):
        for _ in range(5):
            train_step(fast, state, train_data)
        synchronize(device)
        n_steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            for _ in range(10):  # reading the clock makes the GPU wait: not after every step
                train_step(fast, state, train_data)
            synchronize(device)
            n_steps += 10
    rate = n_steps * preset.training.batch_size * block_size / elapsed
    return {
        "way": way.name,
        "added": WAYS.index(way),  # how many things the way adds to the first
        "dtype": dtype_name(dtype),
        "tokens_per_second": round(rate),
        # The share of the peak in half precision, whatever the way computes in.
        "mfu": rate * flops_per_token(model) / peak_flops(device),
        "peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9
        if device.type == "cuda"
        else math.nan,
    }
