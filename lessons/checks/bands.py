"""Plumbing · an experiment's table against the recorded seeds of its solution, and a row run again.

data/experiments/exercises.csv has the losses of the solutions on Tiny Shakespeare. On another text
nothing is on record, and the verdict says so. Losses are in nats per character.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lessons.checks.plausible import unrounded
from lessons.checks.tables import label
from lessons.checks.verdict import Mistake
from lessons.corpus import is_tiny_shakespeare
from lessons.dataset import encode_and_split
from lessons.files import read_csv
from lessons.records import EXPERIMENTS_DIR
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss, train

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

SPREADS = 4  # standard deviations of the recorded seeds, to either side of their mean
# A band is never narrower than this: another brand, torch or device moves a loss too.
AT_LEAST = {"dead_units": 8, "best_step": 60}
AT_LEAST_A_LOSS = 0.03
SEED = 1337  # the lessons' own
ROUNDED = 6e-4  # a table may have three digits
SAME_BEGINNING, SAME_END = 0.002, 0.05  # of one seed, on two machines
UNITS = {
    "is in bits: multiply by ln 2, or take the natural logarithm":
        lambda loss: loss * math.log(2),
    "is a perplexity: leave out the last step, e to the power of the loss": math.log,
    "is to the base 10: take the natural logarithm": lambda loss: loss * math.log(10),
    "has the wrong sign: a loss is *minus* the logarithm": lambda loss: -loss,
}  # fmt: skip


@dataclass(frozen=True)
class Bands:
    """Where each entry of `rows` should lie: between `low` and `high`, of the same form."""

    rows: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    source: str  # as in "lies where that of …"

    def fits(self, row: pd.Series, n: int) -> bool:
        """Whether these values would do as row n."""
        return bool(row.between(self.low.iloc[n], self.high.iloc[n]).all())

    def explain(self) -> None:
        """Raise Mistake if other units or another order would bring everything into the bands."""
        for column in (name for name in self.rows if name.endswith("loss")):
            for sentence, back in UNITS.items():
                self._in_other_units(column, sentence, back)
        order = self._order([])
        moved = [n for n, other in enumerate(order or []) if n != other]
        if moved:
            a, b = label(self.rows, moved[0]), label(self.rows, order[moved[0]])
            raise Mistake(
                f"Are rows exchanged? The one with {a} lies where {b} belongs"
                f"{_and_others(len(moved) - 1)}: with other labels the whole table would fit."
            )

    def _in_other_units(self, column: str, sentence: str, back: Callable) -> None:
        low, high, values = self.low[column], self.high[column], self.rows[column]
        outside = ~values.between(low, high)
        try:
            converted = values[outside].map(back)
        except ValueError:  # no logarithm of these
            return
        if outside.any() and converted.between(low[outside], high[outside]).all():
            n = int(outside.to_numpy().argmax())
            raise Mistake(
                f"`{column}` {sentence}. {label(self.rows, n)} has {values.iloc[n]:.3f}, and the "
                f"loss is {converted.iloc[0]:.3f} nats{_and_others(int(outside.sum()) - 1)}."
            )

    def _order(self, taken: list[int]) -> list[int] | None:
        """For each row the place that it fits, its own if possible; None if there is no order."""
        n = len(taken)
        if n == len(self.rows):
            return taken
        for place in [n, *range(len(self.rows))]:
            if place not in taken and self.fits(self.rows.iloc[n], place):
                order = self._order([*taken, place])
                if order:
                    return order
        return None

    def keep(self) -> None:
        """Raise Mistake for an entry outside its band."""
        wrong = (self.rows < self.low) | (self.rows > self.high)
        if not wrong.any(axis=None):
            return
        n, c = next(zip(*wrong.to_numpy().nonzero(), strict=True))
        low, high = self.low.iloc[n, c], self.high.iloc[n, c]
        raise Mistake(
            f"{label(self.rows, n)}: `{self.rows.columns[c]}` is {self.rows.iloc[n, c]:.4g}, and "
            f"{self.source} between {low:.4g} and {high:.4g}"
            f"{_and_others(int(wrong.any(axis=1).sum()) - 1)}. Compare the docstring: how many "
            "steps, which learning rate, which data to train and to measure on, what is changed?"
        )


def _and_others(n: int) -> str:
    return f" (and so with {n} more row{'s' * (n > 1)})" if n else ""


def exact(rows: pd.DataFrame, right: object) -> None:
    """Raise Mistake if other units or another order would make `rows` equal to `right`."""
    right = pd.DataFrame(right, rows.index, rows.columns)
    Bands(rows, right - ROUNDED, right + ROUNDED, "computed again it lies").explain()


def recorded(rows: pd.DataFrame, experiment: str, text: str) -> Bands | None:
    """The bands of the recorded seeds; None for another text than Tiny Shakespeare.

    Raises Mistake if the table would fit in other units or in another order.
    """
    if not is_tiny_shakespeare(text):
        return None
    keys = ["experiment", "row", "seed", "measured", "value"]
    record = read_csv(EXPERIMENTS_DIR / "exercises.csv", keys)
    values = record[record.experiment == experiment].groupby(["row", "measured"]).value
    middle, spread = values.mean().unstack(), values.std().unstack()
    least = [AT_LEAST.get(column, AT_LEAST_A_LOSS) for column in middle]
    half = (SPREADS * spread).clip(lower=pd.Series(least, middle.columns), axis=1)
    own = [label(rows, n) for n in range(len(rows))]
    columns = [column for column in rows if column in middle]  # parameters have no band
    low, high = (
        side.loc[own, columns].set_axis(rows.index) for side in (middle - half, middle + half)
    )
    source = f"with {values.size().max()} seeds that of the solution lies"
    bands = Bands(rows[columns], low, high, source)
    bands.explain()
    return bands


def run_again(
    rows: pd.DataFrame, n: int, text: str, new_model: Callable[[int], nn.Module], **how: float
) -> str:
    """Train row n as the lesson does, if it began with the lesson's seed; says what was seen.

    `new_model` takes vocab_size; `how` is what `train` needs besides. Raises Mistake if the
    row ends elsewhere.
    """
    train_data, val_data, tokenizer = encode_and_split(text)
    some_train, some_val = train_data[:100_000], val_data[:20_000]
    torch.manual_seed(SEED)
    model, row = new_model(tokenizer.vocab_size), label(rows, n)
    first = estimate_loss(model, some_val, EVAL_BATCH_SIZE, 8, EVAL_ITERS)
    if abs(first - rows.first_loss.iloc[n]) > SAME_BEGINNING:
        return f"No row was run again: {row} does not begin where seed {SEED} does ({first:.3f})."
    losses = train(model, some_train, some_val, batch_size=32, block_size=8,
                   eval_interval=how["max_iters"], progress=tqdm(disable=True), **how)  # fmt: skip
    again = rows[["val_loss"]].iloc[[n]] * 0 + losses.val_loss.iloc[-1]
    bands = Bands(rows[["val_loss"]].iloc[[n]], again - SAME_END, again + SAME_END,
                  f"trained again here with seed {SEED} it ends")  # fmt: skip
    bands.explain()
    bands.keep()
    return f"The row with {row} was trained again here, with seed {SEED}, and ends there too."


def said(rows: pd.DataFrame, bands: Bands | None, again: str = "") -> str:
    """What the verdict on a good table says: what was looked at, and what was not.

    Raises Mistake if something lies outside its band, or was rounded.
    """
    for column in rows:
        if column.endswith("loss") and rows[column].nunique() > 3:  # few may be round by chance
            unrounded(rows[column])
    if bands:
        bands.keep()
        seen = f"each entry lies about where {bands.source}"
        unseen = "rows that are alike may be exchanged"
    else:
        seen = "the losses are plausible"
        unseen = "the losses of this text, for only those of Tiny Shakespeare are on record"
    return (
        f"All {len(rows)} rows are there, and {seen}. {again} Not looked at: the code that made "
        f"the table; {unseen}."
    ).replace("  ", " ")
