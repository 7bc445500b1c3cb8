"""Measure rung 8 on a CUDA machine in one go: its losses, and what makes it fast.

Writes losses/08_scaled_up and experiments/gpu_speed, each a CSV and a JSON file, under --out, a
seed or a way at a time. What is on record is not measured again; what will not end within
--minutes is left out, and a line says so. From data/, the default, `make figures` puts the results
into the README. Where the course is not installed:

    PYTHONPATH=. TQDM_DISABLE=1 python helper_scripts/measure/gpu.py --out FOLDER
"""

import argparse
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

from lessons.arguments import SEED, Parser, Range
from lessons.at_scale.precision import pick_dtype
from lessons.at_scale.throughput import WAYS, Way, throughput
from lessons.corpus import DATA_DIR, is_tiny_shakespeare, load_text
from lessons.course.gpu_report import losses_sentence
from lessons.dataset import encode_and_split
from lessons.device import dtype_name, machine_facts, pick_device
from lessons.errors import BadInput, exits_cleanly, first_line
from lessons.files import check_writable
from lessons.gpt import GPTConfig
from lessons.ladder import SCALED_UP, Rung, run_rung
from lessons.presets import Preset
from lessons.records import Record, rung_record

import pandas as pd
import torch

COMPILE_SECONDS = 90  # compiling must start this long before the time is up
# The whole machinery, small enough for a test on a CPU.
TOY = Preset(
    GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=2, n_embd=16),
    replace(SCALED_UP.settings.training, batch_size=8, max_iters=20, eval_interval=10),
)


def speed_record(folder: Path, preset: Preset) -> Record:
    """The record of the ways to train this preset, one row each."""
    setting = {"experiment": "gpu_speed", "hyperparameters": asdict(preset)}
    columns = ["way", "added", "dtype", "tokens_per_second", "mfu", "peak_memory_gb"]
    return Record(folder, "gpu_speed", setting, ["way"], columns, sort_by=("added",))


def measure_speed(
    ways: list[Way], preset: Preset, train_data, device, record: Record, seconds: float
) -> None:
    """Add a row to the record for each way, written as it is measured."""
    for way in ways:
        try:
            row = throughput(way, preset, train_data, device, seconds)
        except RuntimeError as error:  # a way that does not work here must not stop the others
            print(f"{way.name} is not measured ({first_line(error)}).", flush=True)
            continue
        print(f"{way.name}: {row['tokens_per_second']:,} tokens per second", flush=True)
        record.add(pd.DataFrame([row]), machine_facts(device))


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
        try:
            _, losses = run_rung(rung, text, seed, device)
        except BadInput as error:  # a seed that diverged must not stop the others
            print(f"seed {seed} is not measured ({error})", flush=True)
            continue
        record.add(losses, measured_on)
        seconds_per_seed = time.perf_counter() - begun
        print(f"seed {seed}: lowest validation loss {losses.val_loss.min():.4f}", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA_DIR, help="folder for the files")
    parser.add_argument("--seeds", nargs="+", type=SEED, default=[0, 1, 2], metavar="SEED",
                        help="which seeds are measured")  # fmt: skip
    parser.add_argument("--minutes", type=Range(0, 10_000, whole=False), default=8.5,
                        help="the time limit (default: 8.5)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="measure again what is on record")
    parser.add_argument("--toy", action="store_true", help="a tiny model, also on a CPU")
    args = parser.parse_args()
    if args.toy and args.out == DATA_DIR:
        raise BadInput("--toy measures nothing worth keeping: name a folder for it with --out.")
    return args


def given(toy: bool) -> tuple[torch.device, Rung, str]:
    """The device, the rung and the text; BadInput if they are not the ones to measure."""
    device = pick_device()
    if device.type != "cuda" and not toy:
        raise BadInput("This measures a CUDA GPU, and there is none: try it out with --toy.")
    text = load_text()
    if not toy and not is_tiny_shakespeare(text):
        raise BadInput("The rung is measured on Tiny Shakespeare: move the text in data/input.txt "
                       "elsewhere, and it is downloaded.")  # fmt: skip
    return device, replace(SCALED_UP, settings=TOY) if toy else SCALED_UP, text


@exits_cleanly
def main() -> None:
    args = parse_arguments()
    deadline = time.perf_counter() + 60 * args.minutes
    device, rung, text = given(args.toy)
    train_data, _, tokenizer = encode_and_split(text)
    shape = replace(rung.settings.shape, vocab_size=tokenizer.vocab_size)
    preset = replace(rung.settings, shape=shape)
    losses = rung_record(args.out / "losses", rung, text)
    speeds = speed_record(args.out / "experiments", preset)
    dtype = dtype_name(pick_dtype(device, shape.n_embd))
    jobs = {"seeds_side_by_side": 1, "threads_per_seed": torch.get_num_threads()}
    measured_on = machine_facts(device) | jobs | {"dtype": dtype}
    seeds = losses.missing(args.seeds, measured_on, args.force)
    if not args.force:
        speeds.check_machine(machine_facts(device))  # their rate tells how long a seed takes
    names = speeds.missing([way.name for way in WAYS], machine_facts(device), args.force)
    ways = [way for way in WAYS if way.name in names]
    check_writable(args.out)
    kept = [way.name for way in WAYS if way not in ways]
    kept += [f"seed {seed}" for seed in sorted({*args.seeds} - {*seeds})]
    if kept:
        print(f"On record already: {', '.join(kept)}.")
    seconds = 0.2 if args.toy else 10
    # First what takes a minute, since it shows how long a seed will take; compiling last, since it
    # may be slow and the seeds do not need it.
    plain, slow = ([way for way in ways if way.compile == compiles] for compiles in (False, True))
    measure_speed(plain, preset, train_data, device, speeds, seconds)
    # Seeds are trained like "bf16"; evaluations take a tenth more.
    n_tokens = preset.training.max_iters * preset.training.batch_size * shape.block_size
    rate = speeds.rows().set_index("way").tokens_per_second.get("bf16", math.inf)
    seconds_per_seed = 1.1 * n_tokens / rate
    measure_losses(rung, text, seeds, device, losses, measured_on, seconds_per_seed, deadline)
    if slow and time.perf_counter() + COMPILE_SECONDS > deadline:
        print("No time left for compile: not measured.")
    else:
        measure_speed(slow, preset, train_data, device, speeds, seconds)
    if len(losses.rows()):
        print(losses_sentence(losses.rows()))
    if len(speeds.rows()):
        print(speeds.rows().to_string(index=False))


if __name__ == "__main__":
    main()
