"""Plumbing · the loss files of a rung, kept so that no finished seed is ever lost.

`<rung>.csv` holds the losses; `<rung>.json` beside it says how they were measured.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from lessons.corpus import sha256, write_whole
from lessons.errors import BadInput
from lessons.ladder import Rung, build_model, final_losses, read_csv


class Record:
    """The seeds of one rung that a folder holds for this text and these hyperparameters."""

    def __init__(self, folder: Path, rung: Rung, text: str):
        self.rung = rung
        self.csv, self.json = folder / f"{rung.stem}.csv", folder / f"{rung.stem}.json"
        # Seeds may share a file only if these are equal.
        self.setting = {"hyperparameters": asdict(rung.settings), "text_sha256": sha256(text)}
        self.n_parameters = sum(
            p.numel() for p in build_model(rung, len(set(text)), 0).parameters()
        )

    def belongs_to_another(self) -> bool:
        """Whether the folder holds this rung under other hyperparameters or for another text."""
        about = self._about()
        return bool(about) and any(about.get(key) != value for key, value in self.setting.items())

    def measured_seeds(self) -> set[int]:
        """The seeds on record; raises BadInput if they are not comparable with new ones."""
        if self.belongs_to_another():
            raise BadInput(
                f"{self.csv} was measured with other hyperparameters or on another text: "
                "write to another folder with --out, or replace it with --force."
            )
        return set(self._kept().seed)

    def add(self, losses: pd.DataFrame, measured_on: dict) -> None:
        """Add one seed's losses, or replace them; a kill at any moment loses this seed at most.

        `measured_on` tells the machine and goes into the JSON as it is.
        """
        kept = self._kept()
        table = pd.concat([kept[~kept.seed.isin(losses.seed)], losses]).sort_values(
            ["seed", "step"]
        )
        finals = final_losses(table)
        about = {
            "rung": self.rung.name,
            **self.setting,
            "parameters": self.n_parameters,
            "seeds": finals.seed.tolist(),
            **measured_on,
            "totals": {"seconds": round(finals.seconds.sum(), 1)},
        }
        # The JSON first: a seed counts as measured only once it stands in both files.
        write_whole(self.json, (json.dumps(about, indent=2) + "\n").encode())
        rows = table.to_csv(index=False, float_format="%.5f", lineterminator="\n")
        write_whole(self.csv, rows.encode())

    def _about(self) -> dict:
        try:
            return json.loads(self.json.read_text()) if self.json.exists() else {}
        except json.JSONDecodeError:
            raise BadInput(f"{self.json} is not JSON: delete it and measure again.") from None

    def _kept(self) -> pd.DataFrame:
        """The rows of the seeds that stand in both files."""
        if not self.csv.exists() or not self._about() or self.belongs_to_another():
            return pd.DataFrame({"seed": [], "step": []}, dtype=int)
        table = read_csv(self.csv)
        return table[table.seed.isin(self._about()["seeds"])]
