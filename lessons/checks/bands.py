"""Plumbing · an experiment's table against the recorded seeds of its solution.

data/experiments/exercises.csv has the losses of the solutions on Tiny Shakespeare. On another text
nothing is on record, and the verdict says so. Losses are in nats per character.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from lessons.checks.on_record import seeds_of
from lessons.checks.plausible import on_tiny_shakespeare, unrounded, vocabulary
from lessons.checks.tables import label
from lessons.checks.verdict import Mistake
from lessons.corpus import is_tiny_shakespeare

import numpy as np
import pandas as pd

# Standard deviations of the recorded seeds, to either side of their mean: by Student's t, with five
# seeds one right entry in two hundred would lie outside.
SPREADS = 6
# A band is never narrower than this: another brand, torch or device moves a loss too.
AT_LEAST = {"dead_units": 8, "best_step": 60}
A_LOSS = 0.04
ROUNDED = 6e-4  # a table may have three digits
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
    source: str  # whose bands these are
    pairs: tuple[tuple[str, int, int], ...] = ()  # (column, n, m): row n lies above row m

    def explain(self) -> None:
        """Raise Mistake if other units or another order would bring everything into the bands."""
        losses = [name for name in self.rows if name.endswith("loss")]
        for column, (sentence, back) in product(losses, UNITS.items()):
            self._in_other_units(column, sentence, back)
        for columns in (list(self.rows), *([column] for column in losses)):
            swaps = self._swaps(columns) or []
            if 0 < len(swaps) < 3:  # a table that is wrong throughout may fit when well shuffled
                a, b = (label(self.rows, n) for n in swaps[0])
                raise Mistake(
                    f"Are rows exchanged? In `{columns[-1]}` those with {a} and with {b} would fit "
                    f"each in the other's place{_and_others(2 * len(swaps) - 2)}."
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

    def _swaps(self, columns: list[str]) -> list[tuple[int, int]] | None:
        """Pairs of rows that must change places for all to fit; None if that does not help."""
        low, high, got = (each[columns].to_numpy() for each in (self.low, self.high, self.rows))
        fits = [[((low[m] <= row) & (row <= high[m])).all() for m in range(len(got))]
                for row in got]  # fmt: skip

        def swaps(left: list[int]) -> list[tuple[int, int]] | None:
            """The pairs among the rows that are `left`."""
            if not left:
                return []
            n = left[0]
            for m in (m for m in left if fits[n][m] and fits[m][n]):  # itself is the first
                more = swaps([other for other in left if other not in (n, m)])
                if more is not None:
                    return [(n, m), *more] if m != n else more
            return None

        return swaps(list(range(len(got))))

    def keep(self) -> None:
        """Raise Mistake for an entry outside its band, or for two in the wrong order."""
        wrong = (self.rows < self.low) | (self.rows > self.high)
        for n, c in zip(*wrong.to_numpy().nonzero(), strict=True):
            low, high = self.low.iloc[n, c], self.high.iloc[n, c]
            raise Mistake(
                f"{label(self.rows, n)}: `{self.rows.columns[c]}` is {self.rows.iloc[n, c]:.4g}, "
                f"and {self.source} lies between {low:.4g} and {high:.4g}"
                f"{_and_others(int(wrong.any(axis=1).sum()) - 1)}. Compare the docstring: how many "
                "steps, which learning rate, which data to train and to measure on, what is "
                "changed?"
            )
        for column, n, m in self.pairs:
            if self.rows[column].iloc[n] < self.rows[column].iloc[m]:
                raise Mistake(
                    f"Are rows exchanged? With every recorded seed the `{column}` of "
                    f"{label(self.rows, n)} is above that of {label(self.rows, m)}, and here it is "
                    "below."
                )


def _and_others(n: int) -> str:
    return f" (and so with {n} more row{'s' * (n > 1)})" if n else ""


def exact(rows: pd.DataFrame, right: object) -> None:
    """Raise Mistake if other units or another order would make `rows` equal to `right`."""
    right = pd.DataFrame(right, rows.index, rows.columns)
    Bands(rows, right - ROUNDED, right + ROUNDED, "the one computed again").explain()


def recorded(rows: pd.DataFrame, experiment: str, text: str) -> Bands | None:
    """The bands of the recorded seeds; None for another text than Tiny Shakespeare.

    Raises Mistake if the table would fit in other units or in another order, or if no run has such
    losses.
    """
    vocab_size = vocabulary(text)
    if not is_tiny_shakespeare(text):
        return None
    columns = [column for column in rows if column != "parameters"]  # which no seed changes
    low, high, pairs = rows[columns].copy(), rows[columns].copy(), []
    for column, seeds in seeds_of(experiment, rows[columns]).items():
        half = np.maximum(SPREADS * seeds.std(axis=1, ddof=1), AT_LEAST.get(column, A_LOSS))
        low[column], high[column] = seeds.mean(axis=1) - half, seeds.mean(axis=1) + half
        pairs += [(column, n, m) for n, m in _above(seeds)] if column.endswith("loss") else []
    source = f"the solution's, measured with {seeds.shape[1]} seeds,"
    bands = Bands(rows[columns], low, high, source, tuple(pairs))
    bands.explain()
    for column in columns:
        if column.endswith("loss") and column != "first_loss":
            on_tiny_shakespeare(rows, column, vocab_size)
    return bands


def _above(seeds: np.ndarray) -> list[tuple[int, int]]:
    """Which row, of (rows, seeds), is clearly above which other one of the same seed."""
    apart = seeds[:, None] - seeds[None]  # (rows, rows, seeds)
    spread = apart.std(axis=2, ddof=1)
    spread = np.maximum(spread, np.median(spread))  # of few seeds one may come out too small
    clear = (apart.min(axis=2) > 0) & (apart.mean(axis=2) > np.maximum(4 * spread, A_LOSS))
    return list(zip(*clear.nonzero(), strict=True))


def said(rows: pd.DataFrame, bands: Bands | None, again: str = "") -> str:
    """What the verdict on a good table says: what was looked at, and what was not.

    Raises Mistake if something lies outside its band, or was rounded.
    """
    for column in rows:
        if column.endswith("loss") and rows[column].nunique() > 3:  # few may be round by chance
            unrounded(rows[column])
    if bands:
        bands.keep()
        seen = f"each entry lies where {bands.source} does"
        unseen = "rows that are alike may be exchanged"
    else:
        seen = "no loss is impossible"
        unseen = "the losses of this text, for only those of Tiny Shakespeare are on record"
    return (
        f"All {len(rows)} rows are there, and {seen}. {again} Not looked at: the code that made "
        f"the table; {unseen}."
    ).replace("  ", " ")
