"""Measure what each part of a modern GPT is worth, beside the learning rate and twice the steps.

Five records in data/experiments/, each row added as soon as it is measured. On one thread all of
it takes three hours.

- modern_sweep: the loss on the last tenth of the training split by learning rate, one seed.
- modern_parts: with the best rate of these, the loss on the whole validation split.
- modern_speed: milliseconds per step, all rows in turn, so that they can be compared.
- modern_time: as modern_parts, with as many steps as fit into the time of lesson 8's parts.
- modern_high: rates far too high, without and with QK-norm, after a quarter of the steps.
"""

import time
from dataclasses import replace
from itertools import product

from experiment import experiment_parser, measure_missing
from lessons.batches import split
from lessons.corpus import load_text, sha256
from lessons.dataset import encode_and_split
from lessons.errors import exits_cleanly
from lessons.evaluation import full_loss
from lessons.gpt import parameter_count
from lessons.modern.parts import TRAINING, Parts, build, train_parts
from lessons.records import Record

import torch

ROPE = Parts(positions="rotary")
RMS = replace(ROPE, norm="rms")
SQUARED = replace(RMS, mlp="squared")
ROWS = {
    "lesson 8": Parts(),
    "lesson 8, twice the steps": Parts(times=2),
    "no positions": Parts(positions="none"),
    "RoPE": ROPE,
    "RoPE, twice the steps": replace(ROPE, times=2),
    "RoPE, 2 groups": replace(ROPE, n_group=2),
    "RoPE, RMSNorm": RMS,
    "RoPE, RMSNorm, SwiGLU": replace(RMS, mlp="gated"),
    "RoPE, RMSNorm, squared ReLU": SQUARED,
    "RoPE, RMSNorm, squared ReLU, QK-norm": replace(SQUARED, qk_norm=True),
    "Muon": Parts(muon=True),
    "Muon and all of these": replace(SQUARED, qk_norm=True, muon=True),
}
RATES, MUON_RATES = (1e-3, 2e-3, 4e-3, 8e-3, 16e-3), (0.005, 0.01, 0.02, 0.04)
HIGH_RATES = (0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024)
HIGH_ROWS = ("RoPE, RMSNorm, squared ReLU", "RoPE, RMSNorm, squared ReLU, QK-norm")
BASE = "lesson 8"
TURNS, STEPS_A_TURN = 15, 10  # of the speeds


@exits_cleanly
def main() -> None:
    args = experiment_parser(__doc__, range(3)).parse_args()
    text = load_text()
    data, val, tokenizer = encode_and_split(text)
    part, rest = split(data)
    V, steps = tokenizer.vocab_size, args.max_iters or TRAINING.max_iters

    def record(name: str, keys: list[str], measured: list[str]) -> Record:
        setting = {"experiment": name, "max_iters": steps, "batch_size": TRAINING.batch_size,
                   "text_sha256": sha256(text)}  # fmt: skip
        return Record(args.out, name, setting, keys, keys + measured)

    def trained(row: str, rate: float, seed: int, data: torch.Tensor, steps: int = steps):
        torch.manual_seed(seed)
        model = build(ROWS[row], V)
        train_parts(model, data, ROWS[row], rate, seed, steps)
        return model

    def try_rate(row: str, rate: float) -> list[dict]:
        model = trained(row, rate, 0, part)
        return [{"loss": full_loss(model, rest, model.block_size)}]

    sweep = record("modern_sweep", ["row", "learning_rate"], ["loss"])
    runs = [(name, rate) for name, parts in ROWS.items()
            for rate in (MUON_RATES if parts.muon else RATES)]  # fmt: skip
    measure_missing(sweep, runs, try_rate, args.force)
    tried = sweep.rows()
    best = tried.loc[tried.groupby("row").loss.idxmin()].set_index("row").learning_rate

    def measure_row(row: str, seed: int, steps: int = steps) -> list[dict]:
        model = trained(row, best[row], seed, data, steps)
        return [{"learning_rate": best[row], "steps": steps * ROWS[row].times,
                 "parameters": parameter_count(model),
                 "val_loss": full_loss(model, val, model.block_size)}]  # fmt: skip

    measured = ["learning_rate", "steps", "parameters", "val_loss"]
    parts = record("modern_parts", ["row", "seed"], measured)
    measure_missing(parts, product(ROWS, args.seeds), measure_row, args.force)

    def time_all(turn: int) -> list[dict]:
        """Ten steps of every row, one row after the other."""
        rows = []
        for name in ROWS:
            model, start = build(ROWS[name], V), time.perf_counter()
            train_parts(model, data, replace(ROWS[name], times=1), 1e-3, turn, STEPS_A_TURN)
            took = (time.perf_counter() - start) / STEPS_A_TURN
            rows.append({"row": name, "milliseconds": 1000 * took})
        return rows

    speed = record("modern_speed", ["turn"], ["row", "milliseconds"])
    measure_missing(speed, [(turn,) for turn in range(TURNS)], time_all, args.force)
    times = speed.rows().pivot(index="turn", columns="row", values="milliseconds")
    # Of the ratios within a turn the median: a busy moment slows down all of a turn.
    slower = times.div(times[BASE], axis=0).median()

    def measure_in_time(row: str, seed: int) -> list[dict]:
        return measure_row(row, seed, round(steps / slower[row]))

    in_time = record("modern_time", ["row", "seed"], measured)
    once = [row for row, its_parts in ROWS.items() if its_parts.times == 1]
    measure_missing(in_time, product(once, args.seeds), measure_in_time, args.force)

    def try_high(row: str, rate: float, seed: int) -> list[dict]:
        model = trained(row, rate, seed, data, steps // 4)
        return [{"val_loss": full_loss(model, val, model.block_size)}]

    high = record("modern_high", ["row", "learning_rate", "seed"], ["val_loss"])
    measure_missing(high, product(HIGH_ROWS, HIGH_RATES, args.seeds), try_high, args.force)


if __name__ == "__main__":
    main()
