"""Plumbing · the CSV files of losses: how they are written, and how they are read.

One row per seed and evaluation (columns COLUMNS; losses in nats per character, seconds since
the start); a seed's last row is its full_loss.
"""

from pathlib import Path

import pandas as pd

from lessons.corpus import DATA_DIR, write_whole
from lessons.errors import BadInput

LOSSES_DIR = DATA_DIR / "losses"
COLUMNS = ["seed", "step", "train_loss", "val_loss", "seconds"]


def write_csv(path: Path, losses: pd.DataFrame) -> None:
    """Write losses (COLUMNS) as a whole file, to five decimals."""
    rows = losses.to_csv(index=False, float_format="%.5f", lineterminator="\n")
    write_whole(path, rows.encode())


def read_csv(path: Path) -> pd.DataFrame:
    """One rung's losses; raises BadInput naming a column that is missing."""
    try:
        table = pd.read_csv(path)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError):
        raise BadInput(f"{path} is not a CSV file with a header line: delete it.") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise BadInput(f"{path} has no column {missing[0]!r}: it needs {', '.join(COLUMNS)}.")
    if table.empty:
        raise BadInput(f"{path} has no rows: delete it and measure again.")
    return table


def read_losses(folder: Path = LOSSES_DIR) -> pd.DataFrame:
    """Every CSV of a folder in one table, with a column `rung` (the file's stem), in order."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise BadInput(f"{folder} holds no loss files: measure some with `make ladder`.")
    return pd.concat([read_csv(path).assign(rung=path.stem) for path in paths], ignore_index=True)


def final_losses(losses: pd.DataFrame) -> pd.DataFrame:
    """The last row of each seed (of each rung, if there is a column `rung`)."""
    return _last_of_each(losses.sort_values("step"))


def lowest_losses(losses: pd.DataFrame) -> pd.DataFrame:
    """The row of each seed (and rung) with its lowest val_loss, or with NaN if it has one."""
    return _last_of_each(losses.sort_values("val_loss", ascending=False))  # a NaN comes last


def _last_of_each(losses: pd.DataFrame) -> pd.DataFrame:
    keys = ["rung", "seed"] if "rung" in losses else ["seed"]
    last = losses.drop_duplicates(keys, keep="last")
    return last.sort_values(keys).reset_index(drop=True)
