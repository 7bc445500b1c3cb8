"""Measure training beside busy programs: PyTorch's default, the spin of lessons/, one thread.

Steps per second of a preset, beside 0, 1 and 2 endless loops, into data/experiments/busy.csv.
"""

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

from experiment import measure_missing
from lessons.arguments import FEW, Parser
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.corpus import load_text, sha256
from lessons.dataset import encode_and_split
from lessons.device import machine_facts, pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPT
from lessons.presets import Preset, find_preset
from lessons.records import EXPERIMENTS_DIR, Record
from lessons.timing import calls_per_second

import torch

PRESET = "cpu"
KEYS = ["way", "busy_loops", "seed"]  # here a seed is a repetition
WAYS = {
    "default": {"GOMP_SPINCOUNT": "300000"},  # GNU's own, where nothing is set
    "short spin": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}


def steps_per_second(preset: Preset, train_data: torch.Tensor) -> float:
    """How fast this process trains, after a second that is not counted."""
    model = GPT(preset.shape, preset.training.dropout)
    state = TrainingState(model, preset.training, torch.float32, seed=0)
    rates = [calls_per_second(lambda: train_step(model, state, train_data), s) for s in (1, 3)]
    return rates[-1]


def beside(busy_loops: int, way: str) -> float:
    """Steps per second of a process of its own, with so many endless loops beside it."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy_loops)
    ]
    command = [sys.executable, __file__, "--alone"]
    try:
        return float(subprocess.check_output(command, env=os.environ | WAYS[way], text=True))
    except subprocess.CalledProcessError as error:
        raise BadInput(f"The process that trains ended with {error.returncode}; what it said is "
                       "above.") from None  # fmt: skip
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=EXPERIMENTS_DIR, help="folder of the files")
    parser.add_argument("--repeats", type=FEW, default=5, help="of which the median counts")
    parser.add_argument("--force", action="store_true", help="measure again what is on record")
    parser.add_argument("--alone", action="store_true", help="print this process's speed, no more")
    args = parser.parse_args()
    text = load_text()
    if args.alone:
        return print(steps_per_second(find_preset(PRESET), encode_and_split(text)[0]))
    setting = {"experiment": "busy", "preset": PRESET, "text_sha256": sha256(text)}
    record = Record(args.out, "busy", setting, KEYS, [*KEYS, "steps_per_second"], sort_by=KEYS)
    measured_on = machine_facts(pick_device("cpu")) | {"cores": os.cpu_count()}
    runs = [(way, n, seed) for seed, n, way in product(range(args.repeats), range(3), WAYS)]
    if not args.force:
        record.check_machine(measured_on)

    def measure(way: str, busy_loops: int, seed: int) -> list[dict]:
        return [{"steps_per_second": beside(busy_loops, way)}]

    measure_missing(record, runs, measure, args.force, measured_on)
    print(record.rows().groupby(["way", "busy_loops"]).steps_per_second.median().unstack().round(1))


if __name__ == "__main__":
    main()
