"""Plumbing · what the seeds on record measured of an experiment, from exercises.csv."""

from lessons.checks.blame import cut
from lessons.checks.tables import label
from lessons.errors import BadInput, first_line
from lessons.files import read_csv
from lessons.records import EXPERIMENTS_DIR

import numpy as np
import pandas as pd

COLUMNS = ["experiment", "row", "seed", "measured", "value"]


def seeds_of(experiment: str, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Column of `rows` -> what each seed on record has there, (rows, seeds).

    Raises BadInput, which says that the file of the course is to blame, if anything is missing.
    """
    path = EXPERIMENTS_DIR / "exercises.csv"
    labels = [label(rows, n) for n in range(len(rows))]
    try:
        record = read_csv(path, COLUMNS)
        if not pd.api.types.is_numeric_dtype(record.value):
            raise ValueError("a value is no number")
        record = record[(record.experiment == experiment) & record.row.isin(labels)]
        cells = record.pivot(index=["measured", "row"], columns="seed", values="value")
        found = {
            column: cells.loc[[(column, row) for row in labels]].to_numpy(dtype=float)
            for column in rows
        }
        if not all(np.isfinite(seeds).all() and seeds.shape[1] > 1 for seeds in found.values()):
            raise ValueError(f"a seed of {experiment} lacks a number")
    except (BadInput, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"The course's own file {path}, with which this check compares, is damaged or missing: "
            f"your answer was not looked at. Restore it with `git checkout -- {path}`, or fetch "
            f"the course again. ({cut(first_line(error), 150)})"
        ) from None
    return found
