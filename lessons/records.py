"""Plumbing · measured rows on disk, kept so that nothing that was measured is ever lost.

NAME.csv holds the rows: the settings that vary, then `seed`, then what was measured (of a rung:
COLUMNS; the last row of a seed is its full_loss). NAME.json beside it says the rest: what was
equal for every row, on which machine, which seeds.
"""

from dataclasses import asdict
from pathlib import Path

from lessons.about import read_about
from lessons.corpus import DATA_DIR, sha256
from lessons.errors import BadInput
from lessons.evaluation import COLUMNS
from lessons.files import read_csv, write_csv, write_json
from lessons.gpt import parameter_count
from lessons.ladder import Rung, build_model

import pandas as pd

LOSSES_DIR = DATA_DIR / "losses"  # of the rungs
EXPERIMENTS_DIR = DATA_DIR / "experiments"  # of everything else: grids, ablations, speeds
Key = tuple | int | str  # what tells one measurement from another, such as a seed


class Record:
    """The rows of one rung or experiment that a folder holds, and what is comparable with them.

    `keys` are the columns that tell one measurement from another, `setting` is what must be equal
    for two of them to share a file. Rows are sorted by the columns `sort_by`, or stay in the
    order in which they were added.
    """

    def __init__(
        self, folder: Path, name: str, setting: dict, keys: list[str], columns: list[str],
        sort_by: tuple[str, ...] = (), float_format: str = "%.6g",
    ):  # fmt: skip
        self.csv, self.json = folder / f"{name}.csv", folder / f"{name}.json"
        self.setting, self.keys, self.columns = setting, keys, columns
        self.sort_by, self.float_format = list(sort_by), float_format

    def rows(self) -> pd.DataFrame:
        """The rows on record, comparable or not; none if there are no files."""
        if not (self.csv.exists() and self.json.exists()):
            return pd.DataFrame({column: [] for column in self.columns})
        table, about = read_csv(self.csv, self.columns), read_about(self.json)
        if more := set(table) - set(self.columns):
            raise BadInput(f"{self.csv} has a column {min(more)!r} too many: remove it.")
        if "seed" in table and about.seeds and not set(table.seed) <= set(about.seeds):
            raise BadInput(
                f"{self.csv} has seeds that {self.json.name} does not name: restore both files, or "
                "move them elsewhere and measure again."
            )
        return table

    def measured(self) -> set[Key]:
        """The keys on record; raises BadInput if they are not comparable with new ones."""
        if self.csv.exists():
            self._check(self.setting, "with other hyperparameters or on another text")
        return self.all_keys()

    def all_keys(self) -> set[Key]:
        """The keys on record, comparable or not."""
        return set(self._keys_of(self.rows()))

    def check_machine(self, measured_on: dict) -> None:
        """Raises BadInput if what is on record was measured on another machine than this."""
        if self.csv.exists():
            self._check(measured_on, "on another machine or in another way")

    def missing(self, wanted: list[Key], measured_on: dict, force: bool = False) -> list[Key]:
        """Those of `wanted` that must be measured: all with `force`, else those not on record.

        Raises BadInput if other rows on record are not comparable with these.
        """
        for path in (self.csv, self.json):  # else the first row would be lost
            if path.exists() and not path.is_file():
                raise BadInput(
                    f"{path} is not a regular file: move it elsewhere, or name another --out."
                )
        done = set() if force else self.measured()
        missing = [key for key in dict.fromkeys(wanted) if key not in done]
        if missing and self.json.exists():
            read_about(self.json)  # a damaged one must be found before anything is measured
        if missing and self.all_keys() - set(missing):
            self.measured()
            self.check_machine(measured_on)
        return missing

    def add(self, rows: pd.DataFrame, measured_on: dict) -> None:
        """Add rows, or replace those with the same keys; a kill at any moment loses only these.

        `measured_on` describes the machine and goes into the JSON unchanged. Rows on record that
        are not comparable with these are dropped.
        """
        if not self._comparable(self.setting | measured_on):
            self.csv.unlink(missing_ok=True)
        kept, new = self.rows(), set(self._keys_of(rows))
        kept = kept[[key not in new for key in self._keys_of(kept)]]
        table = (pd.concat([kept, rows]) if len(kept) else rows)[self.columns]
        if self.sort_by:
            table = table.sort_values(self.sort_by)
        about = self.setting.copy()
        if "seed" in table:
            about["seeds"] = sorted(map(int, table.seed.unique()))
        about |= measured_on
        if "seconds" in table:
            about["totals"] = {"seconds": round(table.groupby(self.keys).seconds.max().sum(), 1)}
        # The JSON first: a kill must not leave new rows beside a JSON that describes older ones.
        write_json(self.json, about)
        # To the last digit, for a key that is read back must be the one that was asked for.
        exact = {key: table[key].map(repr) for key in self.keys if table[key].dtype == float}
        write_csv(self.csv, table.assign(**exact), self.float_format)

    def _keys_of(self, rows: pd.DataFrame) -> list[Key]:
        if len(self.keys) == 1:
            return rows[self.keys[0]].tolist()
        return list(rows[self.keys].itertuples(index=False, name=None))

    def _comparable(self, wanted: dict) -> bool:
        if not self.json.exists():
            return not self.csv.exists()
        return read_about(self.json).says(wanted)

    def _check(self, wanted: dict, difference: str) -> None:
        read_about(self.json)  # which raises BadInput if it is missing
        if not self._comparable(wanted):
            raise BadInput(
                f"{self.csv} was measured {difference}: write to another folder with --out."
            )


def rung_record(folder: Path, rung: Rung, text: str) -> Record:
    """The record of a rung's seeds on this text."""
    model = build_model(rung, vocab_size=len(set(text)), seed=0)
    setting = {
        "rung": rung.name,
        "hyperparameters": asdict(rung.settings),
        "parameters": parameter_count(model),
        "text_sha256": sha256(text),
    }
    return Record(folder, rung.stem, setting, keys=["seed"], columns=COLUMNS,
                  sort_by=("seed", "step"), float_format="%.5f")  # fmt: skip


def read_losses(folder: Path = LOSSES_DIR) -> pd.DataFrame:
    """Every CSV of a folder in one table, with a column `rung` (the file's stem), in order."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise BadInput(
            f"{folder} holds no loss files: measure some with helper_scripts/measure/ladder.py."
        )
    tables = [read_csv(path, COLUMNS).assign(rung=path.stem) for path in paths]
    return pd.concat(tables, ignore_index=True)
