"""Plumbing · the loss files of a rung, kept so that no finished seed is ever lost.

`<rung>.csv` holds the losses; `<rung>.json` beside it says how they were measured.
"""

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from lessons.corpus import sha256, write_whole
from lessons.errors import BadInput
from lessons.ladder import Rung, build_model
from lessons.losses import final_losses, read_csv, write_csv


class Record:
    """The seeds of one rung that a folder holds for this text and these hyperparameters."""

    def __init__(self, folder: Path, rung: Rung, text: str):
        self.csv, self.json = folder / f"{rung.stem}.csv", folder / f"{rung.stem}.json"
        model = build_model(rung, vocab_size=len(set(text)), seed=0)
        # Seeds may share a file only if all of this is equal.
        self.setting = {
            "rung": rung.name,
            "hyperparameters": asdict(rung.settings),
            "parameters": sum(p.numel() for p in model.parameters()),
            "text_sha256": sha256(text),
        }

    def measured_seeds(self) -> set[int]:
        """The seeds on record; raises BadInput if they are not comparable with new ones."""
        if self.csv.exists() and not self.json.exists():
            raise BadInput(f"{self.json} is missing, which says how {self.csv.name} was measured.")
        if not self._comparable(self.setting):
            raise BadInput(
                f"{self.csv} was measured with other hyperparameters or on another text: "
                "write to another folder with --out, or replace all its seeds with --force."
            )
        return self.all_seeds()

    def all_seeds(self) -> set[int]:
        """The seeds on record, comparable or not."""
        return set(self._kept().seed)

    def check_machine(self, measured_on: dict) -> None:
        """Raises BadInput if the seeds on record were measured on another machine than this."""
        if not self._comparable(measured_on):
            raise BadInput(
                f"{self.csv} was measured on another machine or in another way: write to "
                "another folder with --out, or replace all its seeds with --force."
            )

    def missing(self, seeds: list[int], measured_on: dict, force: bool) -> list[int]:
        """Those of `seeds` that are to be measured: with `force` all, else what is not on record.

        Raises BadInput if seeds stay on record that are not comparable with these.
        """
        done = set() if force else self.measured_seeds()
        missing = [seed for seed in dict.fromkeys(seeds) if seed not in done]
        if missing and self.all_seeds() - set(missing):
            self.measured_seeds()
            self.check_machine(measured_on)
        return missing

    def add(self, losses: pd.DataFrame, measured_on: dict) -> None:
        """Add one seed's losses, or replace them; a kill at any moment loses this seed at most.

        `measured_on` tells the machine and goes into the JSON as it is. Seeds on record that
        are not comparable with this one are dropped.
        """
        if not self._comparable(self.setting | measured_on):
            self.csv.unlink(missing_ok=True)
        kept = self._kept()
        table = pd.concat([kept[~kept.seed.isin(losses.seed)], losses])
        table = table.sort_values(["seed", "step"])
        finals = final_losses(table)
        totals = {"seconds": round(finals.seconds.sum(), 1)}
        about = self.setting | {"seeds": finals.seed.tolist()} | measured_on | {"totals": totals}
        # The JSON first: a seed counts as measured only once it stands in both files.
        write_whole(self.json, (json.dumps(about, indent=2) + "\n").encode())
        write_csv(self.csv, table)

    def _about(self) -> dict:
        try:
            return json.loads(self.json.read_text()) if self.json.exists() else {}
        except json.JSONDecodeError:
            raise BadInput(f"{self.json} is not JSON: delete it and measure again.") from None

    def _comparable(self, wanted: dict) -> bool:
        about = self._about()
        return not about or all(about.get(key) == value for key, value in wanted.items())

    def _kept(self) -> pd.DataFrame:
        """The rows of the seeds that stand in both files."""
        if not (self.csv.exists() and self.json.exists()):
            return pd.DataFrame({"seed": [], "step": []}, dtype=int)
        table = read_csv(self.csv)
        return table[table.seed.isin(self._about().get("seeds", []))]
