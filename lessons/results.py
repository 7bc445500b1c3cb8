"""Plumbing · what records say: which losses count, and a table of the ladder."""

from collections.abc import Iterable
from pathlib import Path

from lessons.files import read_csv
from lessons.ladder import LADDER
from lessons.records import EXPERIMENTS_DIR

import pandas as pd


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


def in_order(stems: Iterable[str]) -> list[str]:
    """Names of loss files, each once: those of the ladder from bottom to top, then others."""
    places = {rung.stem: place for place, rung in enumerate(LADDER)}
    return sorted(set(stems), key=lambda stem: (places.get(stem, len(places)), stem))


def summary(losses: pd.DataFrame) -> pd.DataFrame:
    """One row per rung of `read_losses`: seeds, val_loss, its sd, published, seconds.

    val_loss is the mean over the seeds of the last one, or of the lowest for a rung where that
    one counts; seconds is the median; sd is NaN for a single seed.
    """
    lowest = losses.rung.isin([rung.stem for rung in LADDER if rung.lowest_counts])
    counted = pd.concat([final_losses(losses[~lowest]), lowest_losses(losses[lowest])])
    # size and skipna: a seed that diverged must show, not drop out of the mean.
    table = counted.groupby("rung").val_loss.agg(
        seeds="size", val_loss=lambda x: x.mean(skipna=False), sd=lambda x: x.std(skipna=False)
    )
    table["published"] = table.index.map({r.stem: r.published for r in LADDER})
    table["seconds"] = final_losses(losses).groupby("rung").seconds.median()
    return table.loc[in_order(table.index)]


def across(folder: Path = EXPERIMENTS_DIR) -> dict[str, float]:
    """Losses that are no rung's, and that the ladder is held against: name -> validation loss."""
    counting = read_csv(folder / "counting_mixture.csv", ["counting"]).counting
    record = read_csv(folder / "record.csv", ["way", "budget", "val_loss"])
    joined = record[(record.way == "joined") & (record.budget == 0)].val_loss
    return {"counting, lesson 9": counting.mean(), "the record": joined.mean()}
