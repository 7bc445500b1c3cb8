"""Measure rung 8 on a CUDA machine in one go: its losses, and what makes it fast.

Leaves losses/08_scaled_up.csv and .json, seed by seed, and gpu_speed.csv, way by way, under --out.
What is on record is not measured again; what will not end within --minutes is left out, and said
to be. From data/, the default, `make figures` puts it into the README. Where the course is not
installed:

    PYTHONPATH=. TQDM_DISABLE=1 python helper_scripts/measure_gpu.py --out FOLDER
"""

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import torch

from gpu_report import gpu_report
from gpu_speed import WAYS, measure_speed, on_record
from lessons.batches import split
from lessons.corpus import DATA_DIR, is_tiny_shakespeare, load_text
from lessons.device import pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPTConfig
from lessons.ladder import SCALED_UP, Rung, run_rung
from lessons.precision import pick_dtype
from lessons.presets import Preset
from lessons.records import Record
from lessons.tokenizer import CharTokenizer
from run_ladder import check_writable, machine

COMPILE_SECONDS = 90  # it must start so long before the time is up
# The whole machinery, small enough for a test on a CPU.
TOY = Preset(
    GPTConfig(vocab_size=65, block_size=16, n_layer=1, n_head=2, n_embd=16),
    replace(SCALED_UP.settings.training, batch_size=8, max_iters=20, eval_interval=10),
)


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


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA_DIR, help="folder for the CSVs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    parser.add_argument("--minutes", type=float, default=8.5, help="at most so long")
    parser.add_argument("--force", action="store_true", help="measure again what is on record")
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
    dtype = str(pick_dtype(device, shape.n_embd)).removeprefix("torch.")
    measured_on = machine(device, jobs=1) | {"dtype": dtype}
    seeds = record.missing(args.seeds, measured_on, args.force)
    check_writable(args.out)
    if args.force:
        (args.out / "gpu_speed.csv").unlink(missing_ok=True)
    known = on_record(args.out, device)
    kept = [*known, *(f"seed {seed}" for seed in sorted({*args.seeds} - {*seeds}))]
    if kept:
        print(f"On record already: {', '.join(kept)}.")
    ways = [way for way in WAYS if way.name not in known]
    seconds = 0.2 if args.toy else 10
    # A minute first, since it tells how long a seed will take; compiling last, since it may be
    # slow, and seeds do not wait for it.
    plain = [way for way in ways if not way.compile]
    measure_speed(plain, preset, train_data, device, args.out, seconds)
    # Seeds are trained in the way "bf16"; a tenth more for evaluations.
    n_tokens = preset.training.max_iters * preset.training.batch_size * shape.block_size
    rate = on_record(args.out, device).get("bf16", {}).get("tokens_per_second", math.inf)
    measure_losses(rung, text, seeds, device, record, measured_on, 1.1 * n_tokens / rate, deadline)
    slow = [way for way in ways if way.compile]
    if slow and time.perf_counter() + COMPILE_SECONDS > deadline:
        print("No time left for compile: not measured.")
    else:
        measure_speed(slow, preset, train_data, device, args.out, seconds)
    print(f"\n{gpu_report(args.out)}")


if __name__ == "__main__":
    main()
