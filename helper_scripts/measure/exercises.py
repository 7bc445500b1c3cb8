"""Measure the exercises' experiments with several seeds, so that a check knows what is usual.

Runs the solutions' own cells, and adds each experiment and seed to data/experiments/exercises.csv
as soon as it ends; what is there is not run again.
"""

import contextlib
import functools
import io
from importlib.util import module_from_spec, spec_from_file_location
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from experiment import experiment_parser, measure_missing
from lessons.checks.tables import label
from lessons.corpus import load_text, sha256
from lessons.course.notebook_file import read_notebook
from lessons.errors import BadInput, exits_cleanly
from lessons.records import Record

import pandas as pd

SOLUTIONS = Path(__file__).resolve().parents[2] / "notebooks" / "solutions"
# Lesson -> its experiment, and the columns that say what was tried. Those of lessons 1, 4 and 9
# are not here: their checks compute the whole table themselves.
EXPERIMENTS = {
    "02_averaging_trick": ("context_experiment", ["tables", "block_size"]),
    "03_single_head": ("scale_experiment", ["scaled", "factor"]),
    "05_feed_forward": ("rate_experiment", ["activation", "learning_rate"]),
    "06_residuals": ("depth_experiment", ["divided", "depth"]),
    "07_post_vs_pre_norm": ("warmup_experiment", ["block", "warmup"]),
    "08_scaling_up": ("rescue_experiment", ["dropout", "weight_decay", "n_chars"]),
    "10_modern": ("part_experiment", ["part", "learning_rate"]),
}
OWN_SEED = "manual_seed(1337)"  # as the notebooks write it
KEYS = ["experiment", "seed"]
COLUMNS = ["experiment", "row", "seed", "measured", "value"]


def code_of(lesson: str, seed: int) -> str:
    """The code of a lesson's solution, with `seed` wherever a seed is set.

    Raises BadInput if the experiment sets none, or one that is not the notebooks' own.
    """
    path = SOLUTIONS / f"{lesson}_solutions.ipynb"
    cells = {cell.id: cell.source for cell in read_notebook(path).cells}
    # Run and not copied: a copy of the solutions here would drift away from them.
    code = "\n\n".join(cells.get(name, "") for name in ("imports", "before-3", "solution-3"))
    n_set = code.count("manual_seed(")
    if OWN_SEED not in cells.get("solution-3", "") or code.count(OWN_SEED) < n_set:
        raise BadInput(f"{path} must set each seed with {OWN_SEED}, and its cell solution-3 one: "
                       "else no other seed can be tried.")  # fmt: skip
    return code.replace(OWN_SEED, f"manual_seed({seed})")


def table_of(lesson: str, seed: int) -> pd.DataFrame:
    """The table that a lesson's solution makes when weights and batches come from `seed`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{lesson}_solutions.py"
        path.write_text(code_of(lesson, seed), encoding="utf-8")
        spec = spec_from_file_location(path.stem, path)
        solution = module_from_spec(spec)
        spec.loader.exec_module(solution)
        loops = {"train", "train_at_scale", "train_parts"} & vars(solution).keys()
        if not loops:
            raise BadInput(f"The solution of {lesson} imports no loop that could take a seed.")
        for loop in loops:  # they draw the batches with a seed of their own
            setattr(solution, loop, functools.partial(getattr(solution, loop), seed=seed))
        return getattr(solution, EXPERIMENTS[lesson][0])()


def record_rows(table: pd.DataFrame, settings: list[str]) -> list[dict]:
    """A solution's table as rows of the record, one for each thing measured."""
    indexed = table.set_index(settings)
    return [
        {"row": label(indexed, n), "measured": column, "value": indexed[column].iloc[n]}
        for n in range(len(indexed))
        for column in indexed
        if column != "parameters"  # which a seed does not change
    ]


@exits_cleanly
def main() -> None:
    seeds = [1337, *range(4)]  # 1337 is the notebooks' own
    parser = experiment_parser(__doc__, seeds, max_iters=False)
    parser.add_argument("--lessons", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS),
                        help="whose experiments (default: all)")  # fmt: skip
    args = parser.parse_args()
    setting = {"experiment": "exercises", "text_sha256": sha256(load_text())}
    record = Record(args.out, "exercises", setting, KEYS, COLUMNS, float_format="%.5f")
    lesson_of = {EXPERIMENTS[lesson][0]: lesson for lesson in args.lessons}
    runs = [(experiment, seed) for seed, experiment in product(args.seeds, lesson_of)]

    def measure(experiment: str, seed: int) -> list[dict]:
        with contextlib.redirect_stderr(io.StringIO()):  # the bars of single runs
            table = table_of(lesson_of[experiment], seed)
        return record_rows(table, EXPERIMENTS[lesson_of[experiment]][1])

    measure_missing(record, runs, measure, args.force)


if __name__ == "__main__":
    main()
