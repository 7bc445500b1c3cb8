"""What the experiments share: their flags, and runs that are recorded one by one.

A script of an experiment says what varies and how one run is measured; the record is a
`Record` of lessons/records.py, whose keys are what varies.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from lessons.arguments import COUNT, SEED, Parser
from lessons.device import machine_facts, pick_device
from lessons.errors import Stopped
from lessons.files import check_writable
from lessons.records import EXPERIMENTS_DIR, Record

import pandas as pd
import torch
from tqdm import tqdm


def experiment_parser(
    doc: str, seeds: Iterable[int], out: Path = EXPERIMENTS_DIR, max_iters: bool = True
) -> Parser:
    """A script's parser: --out, --seeds, --force and, where steps can be fewer, --max-iters."""
    parser, seeds = Parser(description=doc.splitlines()[0]), list(seeds)
    parser.add_argument("--out", type=Path, default=out, help="folder of the files")
    parser.add_argument("--seeds", nargs="+", type=SEED, default=seeds, metavar="SEED",
                        help=f"which seeds (default: {' '.join(map(str, seeds))})")  # fmt: skip
    if max_iters:
        parser.add_argument("--max-iters", type=COUNT, help="fewer steps, for a first try")
    parser.add_argument("--force", action="store_true", help="measure again what is on record")
    return parser


def measure_missing(
    record: Record, runs: Iterable[tuple], measure: Callable[..., list[dict]], force: bool,
    measured_on: dict | None = None,
) -> None:  # fmt: skip
    """Measure the runs that are not on record (with `force` all), and record each as it ends.

    A run is a tuple of the record's keys. `measure(*run)` gives its rows, each a dict of the
    columns that are no keys; it runs on one thread of the CPU, unless `measured_on` says where.
    Raises BadInput, before anything is measured, if what is on record is not comparable.
    """
    if measured_on is None:
        # A second thread hardly helps small layers, and takes a core from whoever works here.
        torch.set_num_threads(1)
        measured_on = machine_facts(pick_device("cpu")) | {"threads_per_seed": 1}
    # A record of one key knows its rows by that alone, and not by a tuple of it.
    alone = len(record.keys) == 1
    wanted = [run[0] if alone else run for run in runs]
    if not (missing := record.missing(wanted, measured_on, force)):
        return print(f"All of this is on record in {record.csv}: --force measures it again.")
    check_writable(record.csv.parent)
    try:
        for key in tqdm(missing, unit="run"):
            run = (key,) if alone else key
            keys = dict(zip(record.keys, run, strict=True))
            record.add(pd.DataFrame([row | keys for row in measure(*run)]), measured_on)
    except KeyboardInterrupt:
        raise Stopped("Stopped. Finished runs are on record; the same command, without --force, "
                      "goes on from there.") from None  # fmt: skip
