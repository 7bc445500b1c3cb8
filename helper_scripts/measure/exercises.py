"""Measure the exercises' experiments with several seeds, so that a check knows what is usual.

Runs the solutions' own cells, and adds each experiment and seed to data/experiments/exercises.csv
as soon as it ends; what is there is not run again.
"""

import contextlib
import functools
import io
from itertools import product
from pathlib import Path

from lessons.arguments import SEED, Parser
from lessons.checks.tables import label
from lessons.corpus import load_text, sha256
from lessons.course.notebook_file import read_notebook
from lessons.device import machine_facts, pick_device
from lessons.errors import exits_cleanly
from lessons.files import check_writable
from lessons.records import EXPERIMENTS_DIR, Record

import pandas as pd
import torch
from tqdm import tqdm

SOLUTIONS = Path(__file__).resolve().parents[2] / "notebooks" / "solutions"
# Lesson -> its experiment, and the columns that say what was tried. Those of lessons 1 and 4 are
# not here: their checks compute the whole table themselves.
EXPERIMENTS = {
    "02_averaging_trick": ("context_experiment", ["tables", "block_size"]),
    "03_single_head": ("scale_experiment", ["scaled", "factor"]),
    "05_feed_forward": ("rate_experiment", ["activation", "learning_rate"]),
    "06_residuals": ("depth_experiment", ["divided", "depth"]),
    "07_post_vs_pre_norm": ("warmup_experiment", ["block", "warmup"]),
    "08_scaling_up": ("rescue_experiment", ["dropout", "weight_decay", "n_chars"]),
}
KEYS = ["experiment", "seed"]
COLUMNS = ["experiment", "row", "seed", "measured", "value"]


def table_of(lesson: str, seed: int) -> pd.DataFrame:
    """The table that a lesson's solution makes when weights and batches come from `seed`."""
    notebook = read_notebook(SOLUTIONS / f"{lesson}_solutions.ipynb")
    cells = {cell.id: cell.source for cell in notebook.cells}
    scope = {}
    # Run and not copied: a copy of the solutions here would drift away from them.
    for name in ("imports", "before-3", "solution-3"):
        exec(cells.get(name, "").replace("manual_seed(1337)", f"manual_seed({seed})"), scope)
        for loop in ("train", "train_at_scale"):  # they draw the batches with a seed of their own
            if loop in scope:
                function = getattr(scope[loop], "func", scope[loop])
                scope[loop] = functools.partial(function, seed=seed)
    return scope[EXPERIMENTS[lesson][0]]()


def record_rows(table: pd.DataFrame, lesson: str, seed: int) -> pd.DataFrame:
    """A solution's table as rows of the record, one for each thing measured."""
    experiment, settings = EXPERIMENTS[lesson]
    indexed = table.set_index(settings)
    rows = [
        (experiment, label(indexed, n), seed, column, indexed[column].iloc[n])
        for n in range(len(indexed))
        for column in indexed
        if column != "parameters"  # which a seed does not change
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=EXPERIMENTS_DIR, help="folder of the files")
    # 1337 is the notebooks' own.
    parser.add_argument("--seeds", nargs="+", type=SEED, default=[1337, *range(4)], metavar="SEED",
                        help="which seeds are measured")  # fmt: skip
    parser.add_argument("--lessons", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS),
                        help="whose experiments (default: all)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="measure again what is on record")
    args = parser.parse_args()
    torch.set_num_threads(1)
    setting = {"experiment": "exercises", "text_sha256": sha256(load_text())}
    record = Record(args.out, "exercises", setting, KEYS, COLUMNS, float_format="%.5f")
    measured_on = machine_facts(pick_device("cpu")) | {"threads_per_seed": 1}
    lesson_of = {EXPERIMENTS[lesson][0]: lesson for lesson in args.lessons}
    runs = [(experiment, seed) for seed, experiment in product(args.seeds, lesson_of)]
    missing = record.missing(runs, measured_on, args.force)
    check_writable(args.out)
    for experiment, seed in tqdm(missing, unit="table"):
        with contextlib.redirect_stderr(io.StringIO()):  # the bars of single runs
            table = table_of(lesson_of[experiment], seed)
        record.add(record_rows(table, lesson_of[experiment], seed), measured_on)


if __name__ == "__main__":
    main()
