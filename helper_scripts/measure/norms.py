"""Measure lesson 7's grid: post-norm against pre-norm, at several depths and learning rates.

Each run adds a row to data/experiments/norm_grid.csv as soon as it ends; what is there is not run
again. On one thread the whole grid takes 50 minutes.
"""

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from experiment import experiment_parser, measure_missing
from lessons.arguments import RATE, Range
from lessons.corpus import load_text, sha256
from lessons.device import pick_device
from lessons.errors import exits_cleanly
from lessons.ladder import RUNGS, Rung, run_rung
from lessons.records import Record

from tqdm import tqdm

NORMS = {rung.title: rung for rung in RUNGS if rung.title in ("post-norm", "pre-norm")}
MAX_ITERS = 1000
KEYS = ["n_layer", "learning_rate", "norm", "seed"]


def grid(seeds: list[int], depths: list[int], learning_rates: list[float]) -> list[tuple]:
    """Every run as (n_layer, learning_rate, norm, seed), one seed after the other."""
    runs = product(seeds, depths, learning_rates, NORMS)
    return [(n_layer, rate, norm, seed) for seed, n_layer, rate, norm in runs]


def rung_of(n_layer: int, learning_rate: float, norm: str, max_iters: int) -> Rung:
    """Lesson 7's rung of this norm with another depth, learning rate and number of steps."""
    settings = replace(NORMS[norm].settings, n_layer=n_layer, learning_rate=learning_rate,
                       max_iters=max_iters, eval_interval=max_iters)  # fmt: skip
    return replace(NORMS[norm], settings=settings)


def grid_record(folder: Path, text: str, max_iters: int) -> Record:
    """The record of all runs of `max_iters` steps on this text."""
    varied = {"n_layer": "varied", "learning_rate": "varied"}
    setting = {
        "experiment": "norm_grid",
        "hyperparameters": asdict(rung_of(0, 0.0, "pre-norm", max_iters).settings) | varied,
        "text_sha256": sha256(text),
    }
    return Record(folder, "norm_grid", setting, KEYS, [*KEYS, "val_loss"])


@exits_cleanly
def main() -> None:
    parser = experiment_parser(__doc__, range(3))
    parser.add_argument("--depths", nargs="+", type=Range(1, 1000), default=[3, 6, 12, 24],
                        metavar="N", help="numbers of blocks")  # fmt: skip
    parser.add_argument("--learning-rates", nargs="+", type=RATE, metavar="X",
                        default=[3e-4, 1e-3, 3e-3, 1e-2], help="for each of them")  # fmt: skip
    args = parser.parse_args()
    text, max_iters = load_text(), args.max_iters or MAX_ITERS

    def measure(n_layer: int, learning_rate: float, norm: str, seed: int) -> list[dict]:
        bar = tqdm(total=max_iters, unit="step", leave=False,
                   desc=f"{norm}, {n_layer} layers, {learning_rate}")  # fmt: skip
        rung = rung_of(n_layer, learning_rate, norm, max_iters)
        _, losses = run_rung(rung, text, seed, pick_device("cpu"), bar)
        return [{"val_loss": losses.val_loss.iloc[-1]}]

    runs = grid(args.seeds, args.depths, args.learning_rates)
    measure_missing(grid_record(args.out, text, max_iters), runs, measure, args.force)


if __name__ == "__main__":
    main()
