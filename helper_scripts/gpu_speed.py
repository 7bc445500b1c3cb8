"""How many tokens per second a GPU takes, in each of four ways to train one model."""

import gc
import math
import re
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lessons.compilation import compiled
from lessons.corpus import write_whole
from lessons.device import device_name, synchronize
from lessons.errors import BadInput, first_line
from lessons.gpt import GPT, flops_per_token
from lessons.precision import pick_dtype
from lessons.presets import Preset
from lessons.train_step import train_step
from lessons.training_state import TrainingState

COLUMNS = ["way", "dtype", "tokens_per_second", "mfu", "peak_memory_gb", "device", "torch"]
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
    """The device's peak in half precision, or NaN if it is not in our list."""
    name = device_name(device)
    found = (peak for key, peak in PEAK_FLOPS.items() if re.search(rf"\b{key}\b", name))
    return next(found, math.nan)


def speed(way: Way, preset: Preset, train_data: torch.Tensor, device, seconds: float) -> dict:
    """Tokens per second of training steps, timed for so long after the first few."""
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
            for _ in range(10):  # the GPU must not wait to be asked how late it is
                train_step(fast, state, train_data)
            synchronize(device)
            n_steps += 10
    rate = n_steps * preset.training.batch_size * block_size / elapsed
    return {
        "way": way.name,
        "dtype": str(dtype).removeprefix("torch."),
        "tokens_per_second": round(rate),
        # The share of the peak in half precision, whatever the way computes in.
        "mfu": rate * flops_per_token(model) / peak_flops(device),
        "peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9
        if device.type == "cuda"
        else math.nan,
        "device": device_name(device),
        "torch": str(torch.__version__),
    }


def read_speed(folder: Path) -> pd.DataFrame:
    """The rows of gpu_speed.csv, none if there is none; BadInput for any other table."""
    path = folder / "gpu_speed.csv"
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    try:
        table = pd.read_csv(path, dtype={"torch": str})  # 2.10 is no number
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        table = pd.DataFrame()
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise BadInput(f"{path} has no column {missing[0]!r}: delete it and measure again.")
    return table


def on_record(folder: Path, device: torch.device) -> dict[str, dict]:
    """The rows by way that were measured on this device with this torch: only they compare."""
    rows = read_speed(folder).to_dict("records")
    here = (device_name(device), str(torch.__version__))
    return {row["way"]: row for row in rows if (row["device"], row["torch"]) == here}


def measure_speed(
    ways: list[Way], preset: Preset, train_data, device, folder: Path, seconds: float
) -> None:
    """A row of gpu_speed.csv for each way, written as it is measured."""
    for way in ways:
        try:
            row = speed(way, preset, train_data, device, seconds)
        except RuntimeError as error:  # a way that this machine cannot go must not stop the others
            print(f"{way.name} is not measured ({first_line(error)}).", flush=True)
            continue
        print(f"{way.name}: {row['tokens_per_second']:,} tokens per second", flush=True)
        rows = on_record(folder, device) | {way.name: row}
        table = pd.DataFrame([rows[way.name] for way in WAYS if way.name in rows])
        csv = table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
        write_whole(folder / "gpu_speed.csv", csv.encode())
