"""Measure rung 8 on a CUDA machine in one go: its losses, and what makes it fast.

Leaves losses/08_scaled_up.csv and .json, seed by seed, and gpu_speed.csv under --out. A seed that
is on record or will not end within --minutes is left out, and said to be.
"""

import argparse
import math
import re
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lessons.batches import split
from lessons.compilation import compiled
from lessons.corpus import DATA_DIR, is_tiny_shakespeare, load_text, write_whole
from lessons.device import device_name, pick_device, synchronize
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPT, GPTConfig, flops_per_token
from lessons.ladder import SCALED_UP, Rung, run_rung
from lessons.precision import pick_dtype
from lessons.presets import Preset
from lessons.records import Record
from lessons.tokenizer import CharTokenizer
from lessons.train_step import train_step
from lessons.training_state import TrainingState
from run_ladder import check_writable, machine

TARGET = 1.48  # the loss to which the time is told
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
# The whole machinery, small enough for a test on a CPU.
TOY = Preset(
    GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=2, n_embd=16),
    replace(SCALED_UP.settings.training, batch_size=8, max_iters=20, eval_interval=10),
)


@dataclass(frozen=True)
class Way:
    """One way to take the same training step."""

    name: str
    fused_attention: bool
    half: bool
    compile: bool


# Each adds one thing to the one before.
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
    torch.manual_seed(0)
    dtype = pick_dtype(device, preset.shape.n_embd) if way.half else torch.float32
    model = GPT(preset.shape, preset.training.dropout).to(device)
    state, block_size = TrainingState(model, preset.training, dtype, seed=0), model.block_size
    fast = model
    if way.compile:
        example = train_data[:block_size].repeat(preset.training.batch_size, 1)
        fast = compiled(model, example.to(device), dtype)
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
        "compiled": fast is not model,
        "tokens_per_second": round(rate),
        # The share of the peak in half precision, whatever the way computes in.
        "mfu": rate * flops_per_token(model) / peak_flops(device),
        "peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9
        if device.type == "cuda"
        else math.nan,
        "device": device_name(device),
        "torch": str(torch.__version__),
    }


def measure_speed(preset: Preset, train_data, device, folder: Path, seconds: float) -> list[dict]:
    """One row per way, written as they come to gpu_speed.csv and printed."""
    rows = []
    for way in WAYS:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        try:
            rows.append(speed(way, preset, train_data, device, seconds))
        except RuntimeError as error:  # a way that this machine cannot go must not stop the others
            print(f"{way.name} is not measured ({str(error).splitlines()[0]}).")
            continue
        csv = pd.DataFrame(rows).to_csv(index=False, float_format="%.4f", lineterminator="\n")
        write_whole(folder / "gpu_speed.csv", csv.encode())
    table = pd.DataFrame(rows).drop(columns=["device", "torch"])
    print(table.to_string(index=False), flush=True)
    return rows


def measure_losses(
    rung: Rung, text: str, seeds: list[int], device: torch.device, record: Record,
    measured_on: dict, seconds_per_seed: float, deadline: float,
) -> None:  # fmt: skip
    """Train seed after seed while they fit before the deadline, and record each as it ends."""
    for seed in seeds:
        begun = time.perf_counter()
        if begun + seconds_per_seed > deadline:
            print(f"No time left for seed {seed}, at {seconds_per_seed:.0f} s each: not measured.")
            continue
        _, losses = run_rung(rung, text, seed, device)
        record.add(losses, measured_on)
        seconds_per_seed = time.perf_counter() - begun
        best, last = losses.loc[losses.val_loss.idxmin()], losses.iloc[-1]
        reached = losses[losses.val_loss <= TARGET].seconds
        when = f"{reached.iloc[0]:.0f} s" if len(reached) else "never"
        print(
            f"seed {seed}: best {best.val_loss:.4f} at step {best.step:.0f}, last "
            f"{last.val_loss:.4f}, {last.seconds:.0f} s; {TARGET} reached: {when}",
            flush=True,
        )


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA_DIR, help="folder for the CSVs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--minutes", type=float, default=8.5, help="at most so long")
    parser.add_argument("--toy", action="store_true", help="a tiny model, also on a CPU")
    args = parser.parse_args()
    deadline = time.perf_counter() + 60 * args.minutes
    device = pick_device()
    if device.type != "cuda" and not args.toy:
        raise BadInput("This measures a CUDA machine, and there is none: try it out with --toy.")
    if args.toy and args.out == DATA_DIR:
        raise BadInput("--toy measures nothing worth keeping: name a folder for it with --out.")
    text = load_text()
    if not args.toy and not is_tiny_shakespeare(text):
        raise BadInput("The rung is measured on Tiny Shakespeare: put it into data/input.txt.")
    rung = replace(SCALED_UP, settings=TOY) if args.toy else SCALED_UP
    tokenizer = CharTokenizer(text)
    train_data, _ = split(torch.tensor(tokenizer.encode(text)))
    shape = replace(rung.settings.shape, vocab_size=tokenizer.vocab_size)
    preset = replace(rung.settings, shape=shape)
    record = Record(args.out / "losses", rung, text)
    measured_on = machine(device, jobs=1)
    record.check_machine(measured_on)
    done = record.measured_seeds()
    seeds = [seed for seed in args.seeds if seed not in done]
    if len(seeds) < len(args.seeds):
        print(f"{len(args.seeds) - len(seeds)} of the seeds are on record in {args.out} already.")
    check_writable(args.out)
    # Speed first: it takes a minute or two, and tells how long a seed will take.
    rows = measure_speed(preset, train_data, device, args.out, seconds=0.2 if args.toy else 10)
    # Seeds are trained in the way "bf16"; a tenth more for evaluations.
    rate = next((row["tokens_per_second"] for row in rows if row["way"] == "bf16"), math.inf)
    n_tokens = preset.training.max_iters * preset.training.batch_size * shape.block_size
    measure_losses(rung, text, seeds, device, record, measured_on, 1.1 * n_tokens / rate, deadline)


if __name__ == "__main__":
    main()
