"""Plumbing · the columns of CSV files: what a cell of each may hold."""

import csv
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO

from lessons.errors import BadInput
from lessons.schema import LARGEST

Cell = int | float | str
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"\d+(\.0*)?", re.ASCII)  # pandas writes 3.0 where another row has none


def a_count(cell: str) -> int:
    """A whole number that fits into 64 bits."""
    count = int(cell.split(".")[0]) if _COUNT.fullmatch(cell) and len(cell) < 25 else -1
    if not 0 <= count <= LARGEST:
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


def a_signed_number_or_nothing(cell: str) -> float:
    """A finite number of either sign, such as a difference; NaN where there was none."""
    return -a_number(cell[1:]) if cell.startswith("-") else a_number_or_nothing(cell)


def anything(cells: list[str]) -> Callable[[str], Cell]:
    """The narrowest of these that all cells are."""
    for read in (a_count, a_number, a_number_or_nothing, a_signed_number_or_nothing):
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


def split_lines(text: str) -> tuple[list[str], dict[int, list[str]]]:
    """The header of a CSV text, and its rows by the number of their line; none if it is no CSV."""
    try:
        reader = csv.reader(StringIO(text, newline=""), strict=True)
        rows = {line: row for row, line in ((row, reader.line_num) for row in reader) if row}
    except csv.Error:
        rows = {}
    return rows.pop(min(rows), []) if rows else [], rows


def check_end(text: str, rows: dict[int, list[str]]) -> None:
    """Raises BadInput if the last line has no end, and its last cell may be longer than it is.

    It is whole if it has as many decimals as any above it, and there are some to count.
    """
    if text.endswith(("\n", "\r")):
        return
    *above, last = [len(row[-1].partition(".")[2]) for row in rows.values()]
    if last == 0 or last < max(above, default=math.inf):
        raise BadInput("its last line has no end, and may be cut off; if it is whole, add a line "
                       "break to it")  # fmt: skip


def read_columns(header: list[str], rows: dict[int, list[str]]) -> dict[str, list[Cell]]:
    """Column -> its cells, from rows by the number of their line.

    Raises BadInput for a cell that its column cannot hold, for two rows that do not differ in what
    tells them apart, and for seeds that do not end at the same step.
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
    _check_rows(table, settings, list(rows))
    return table


def _check_rows(table: dict[str, list[Cell]], settings: dict[str, list], lines: list[int]) -> None:
    """Raises BadInput for two rows of the same settings, and for a seed that lacks its last row."""
    first_line = {}
    for line, key in zip(lines, zip(*settings.values(), strict=True), strict=bool(settings)):
        if (first := first_line.setdefault(key, line)) != line:
            raise BadInput(f"lines {first} and {line} have the same {', '.join(settings)}")
    if {"seed", "step"} <= {*table}:
        ends = {}
        for seed, step in zip(table["seed"], table["step"], strict=True):
            ends[seed] = max(step, ends.get(seed, 0))
        if len(set(ends.values())) > 1:
            raise BadInput("its seeds do not end at the same step")
