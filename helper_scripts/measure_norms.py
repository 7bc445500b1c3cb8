"""Measure lesson 7's grid: post-norm against pre-norm, at several depths and learning rates.

One row per run in data/norm_grid.csv, written as soon as it ends: what is there is not run again.
On one thread the whole grid takes 50 minutes.
"""

import argparse
import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from lessons.corpus import DATA_DIR, load_text, sha256, write_whole
from lessons.device import device_name, pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.ladder import RUNGS, Rung, run_rung

NORMS = {rung.title: rung for rung in RUNGS if rung.title in ("post-norm", "pre-norm")}
COLUMNS = ["seed", "n_layer", "learning_rate", "norm", "val_loss"]


def grid(seeds: list[int], depths: list[int], learning_rates: list[float]) -> list[tuple]:
    """Every run as (seed, n_layer, learning_rate, norm), one whole seed after the other."""
    return list(product(seeds, depths, learning_rates, NORMS))


def rung_of(n_layer: int, learning_rate: float, norm: str, max_iters: int) -> Rung:
    """Lesson 7's rung of this norm with another depth, learning rate and number of steps."""
    settings = replace(NORMS[norm].settings, n_layer=n_layer, learning_rate=learning_rate,
                       max_iters=max_iters, eval_interval=max_iters)  # fmt: skip
    return replace(NORMS[norm], settings=settings)


def measured(out: Path, about: dict) -> pd.DataFrame:
    """The rows on record; raises BadInput if they are of other settings or of another text."""
    if not out.exists():
        return pd.DataFrame(columns=COLUMNS)
    kept = out.with_suffix(".json")
    before = json.loads(kept.read_text()) if kept.exists() else {}
    if any(before.get(key) != about[key] for key in ("hyperparameters", "text_sha256")):
        raise BadInput(
            f"{out} was measured in another way than this: name another file with --out."
        )
    return pd.read_csv(out)


def add(out: Path, rows: pd.DataFrame, run: tuple, val_loss: float) -> pd.DataFrame:
    """The rows with one more, written as a whole file."""
    row = pd.DataFrame([(*run, val_loss)], columns=COLUMNS)
    rows = pd.concat([rows, row], ignore_index=True) if len(rows) else row
    write_whole(out, rows.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode())
    return rows


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DATA_DIR / "norm_grid.csv")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--depths", nargs="+", type=int, default=[3, 6, 12, 24])
    parser.add_argument("--learning-rates", nargs="+", type=float, default=[3e-4, 1e-3, 3e-3, 1e-2])
    parser.add_argument("--max-iters", type=int, default=1000)
    args = parser.parse_args()
    # Small layers: a second thread hardly helps, and leaves a core to whoever works here.
    torch.set_num_threads(1)
    text, device = load_text(), pick_device("cpu")
    about = {
        "hyperparameters": asdict(rung_of(0, 0.0, "pre-norm", args.max_iters).settings)
        | {"n_layer": "varied", "learning_rate": "varied"},
        "text_sha256": sha256(text),
        "torch": torch.__version__,
        "device": device_name(device),
        "threads": 1,
    }
    rows = measured(args.out, about)
    if rows.empty:
        note = json.dumps(about, indent=2) + "\n"
        write_whole(args.out.with_suffix(".json"), note.encode())
    done = set(rows[COLUMNS[:-1]].itertuples(index=False, name=None))
    for run in tqdm(grid(args.seeds, args.depths, args.learning_rates), unit="run"):
        if run in done:
            continue
        seed, n_layer, learning_rate, norm = run
        bar = tqdm(total=args.max_iters, unit="step", leave=False,
                   desc=f"{norm}, {n_layer} layers, {learning_rate}")  # fmt: skip
        rung = rung_of(n_layer, learning_rate, norm, args.max_iters)
        _, losses = run_rung(rung, text, seed, device, bar)
        rows = add(args.out, rows, run, losses.val_loss.iloc[-1])


if __name__ == "__main__":
    main()
