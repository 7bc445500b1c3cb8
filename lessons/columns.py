"""Plumbing · the columns of records: what a cell of each may hold."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lessons.errors import BadInput

Cell = int | float | str
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"\d+(\.0*)?", re.ASCII)  # pandas writes 3.0 where another row has none


def a_count(cell: str) -> int:
    """A whole number that fits into 64 bits."""
    count = int(cell.split(".")[0]) if _COUNT.fullmatch(cell) and len(cell) < 25 else -1
    if not 0 <= count < 2**63:
        raise ValueError("a whole number from 0 to 2**63 - 1")
    return count


def a_number(cell: str) -> float:
    """A finite number, not below 0."""
    number = float(cell) if _NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(number):
        raise ValueError("a number that is not below 0")
    return number


def a_rate(cell: str) -> float:
    """A finite number above 0."""
    if not a_number(cell) > 0:
        raise ValueError("a number above 0")
    return float(cell)


def a_number_or_nothing(cell: str) -> float:
    """A finite number; NaN, which pandas writes as nothing, where there was none."""
    return a_number(cell) if cell else math.nan


def a_word(cell: str) -> str:
    """Something to read."""
    if not cell.strip() or not cell.isprintable():
        raise ValueError("a word")
    return cell


def anything(cells: list[str]) -> Callable[[str], Cell]:
    """The narrowest of these four that all cells are."""
    for read in (a_count, a_number, a_number_or_nothing):
        with suppress(ValueError):
            for cell in cells:
                read(cell)
            return read
    return a_word


@dataclass(frozen=True)
class Column:
    """What a cell may hold, and whether it tells one row from another."""

    read: Callable[[str], Cell]
    tells_apart: bool = False


# Those of which scripts or pages know what they mean. A column of any other name holds cells
# of one kind, and tells rows apart.
COLUMNS_OF_RECORDS = {
    # the settings that vary
    "seed": Column(a_count, tells_apart=True),
    "step": Column(a_count, tells_apart=True),
    "n_layer": Column(a_count, tells_apart=True),
    "learning_rate": Column(a_rate, tells_apart=True),
    "norm": Column(a_word, tells_apart=True),
    "way": Column(a_word, tells_apart=True),
    "busy_loops": Column(a_count, tells_apart=True),
    # what was measured; a loss that diverged is no number
    "train_loss": Column(a_number_or_nothing),
    "val_loss": Column(a_number_or_nothing),
    "seconds": Column(a_number),
    "steps_per_second": Column(a_number),
    "added": Column(a_count),
    "dtype": Column(a_word),
    "tokens_per_second": Column(a_count),
    "mfu": Column(a_number_or_nothing),
    "peak_memory_gb": Column(a_number_or_nothing),
}


def read_columns(header: list[str], rows: dict[int, list[str]]) -> dict[str, list[Cell]]:
    """Column -> its cells, from rows by the number of their line.

    Raises BadInput for a cell that its column cannot hold, and for two rows that do not differ in
    what tells them apart.
    """
    for line, cells in rows.items():
        if len(cells) != len(header):
            raise BadInput(f"line {line} has {len(cells)} cells, and the header {len(header)}")
    table, settings = {}, {}
    for name, cells in zip(header, zip(*rows.values(), strict=True), strict=True):
        if name in table or not name.strip():
            raise BadInput(f"it has two columns {name!r}" if name else "a column has no name")
        column = COLUMNS_OF_RECORDS.get(name) or Column(anything(cells), tells_apart=True)
        table[name] = []
        for line, cell in zip(rows, cells, strict=True):
            try:
                table[name].append(column.read(cell))
            except ValueError as wanted:
                raise BadInput(f"line {line}: {name} is {cell!r}, not {wanted}") from None
        if column.tells_apart:
            settings[name] = table[name]
    lines = {}
    for line, key in zip(rows, zip(*settings.values(), strict=True), strict=bool(settings)):
        if (first := lines.setdefault(key, line)) != line:
            raise BadInput(f"lines {first} and {line} have the same {', '.join(settings)}")
    return table
