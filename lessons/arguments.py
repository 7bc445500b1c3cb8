"""Plumbing · numbers that make sense, as settings and as words of a command line."""

import argparse
import math
import reprlib
import sys
from dataclasses import dataclass
from numbers import Integral, Real
from typing import NoReturn

from lessons.errors import BadInput

# More than anybody needs of anything, and few enough to be a float, an int64 or a row in a table.
MOST = 1_000_000_000


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`: whole ones, or with `whole=False` any finite ones.

    Calling it reads a word, as argparse does with the `type` of an argument.
    """

    low: float = 1
    high: float = MOST
    whole: bool = True
    low_fits: bool = True  # whether `low` itself is in it
    high_fits: bool = True

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Integral if self.whole else Real) or isinstance(value, bool):
            return False
        above = self.low <= value if self.low_fits else self.low < value
        below = value <= self.high if self.high_fits else value < self.high
        return above and below and value <= sys.float_info.max

    def __str__(self) -> str:
        low = f"{'from' if self.low_fits else 'above'} {self.low:,}"
        if self.high == math.inf:
            return f"a finite number {low}"
        high = f"{'to' if self.low_fits else 'and'} {'' if self.high_fits else 'below '}"
        return f"a {'whole ' if self.whole else ''}number {low} {high}{self.high:,}"

    def check(self, name: str, value: object) -> None:
        """Raises BadInput if the value of the setting `name` is not in it."""
        if value not in self:
            raise BadInput(f"{name} is {reprlib.repr(value)}: it must be {self}.")

    def __call__(self, word: str) -> float:
        try:
            value = int(word) if self.whole else float(word)
        except ValueError:
            value = math.nan
        if value not in self:
            raise argparse.ArgumentTypeError(f"{reprlib.repr(word)} is not {self}")
        return value


COUNT = Range()
FEW = Range(1, 10_000)  # of what you wait for, such as repeats
SEED = Range(0, 2**63 - 1)  # what every generator of PyTorch takes
RATE = Range(0, math.inf, whole=False, low_fits=False)


class Parser(argparse.ArgumentParser):
    """One that answers a wrong word with one sentence, as a BadInput."""

    def error(self, message: str) -> NoReturn:
        """Raises BadInput with argparse's own message."""
        raise BadInput(f"{message} (--help lists what there is).")
