"""Plumbing · reading an experiment's table, in whatever form it comes: is every row there?"""

import math

from lessons.checks.verdict import Mistake

import pandas as pd


def read_rows(table: object, settings: dict[str, list], measured: list[str]) -> pd.DataFrame:
    """A copy of the table, indexed by its settings, with the expected rows in order, as floats.

    `settings` has a list of values for each column that says what was tried: the n-th values
    together make the n-th expected row. Raises Mistake for what is missing or not a number.
    """
    if not isinstance(table, pd.DataFrame):
        raise Mistake("Return a pandas DataFrame: `pd.DataFrame(rows, columns=[...])`.")
    table = _without_index(table, list(settings))
    for name in (*settings, *measured):
        if list(table.columns).count(name) != 1:
            n = list(table.columns).count(name)
            raise Mistake(
                f"The table has {n} columns named `{name}`: it has {', '.join(map(str, table))}."
            )
    expected = list(zip(*settings.values(), strict=True))
    places = [_place(table, settings, row) for row in expected]
    runs = [named(settings, row) for row in expected]
    numbers = {
        name: [_measured(table[name].iloc[n], name, run)
               for n, run in zip(places, runs, strict=True)]
        for name in measured
    }  # fmt: skip
    index = [pd.Index(values, name=name) for name, values in settings.items()]
    whole = index[0] if len(index) == 1 else pd.MultiIndex.from_arrays(index)
    return pd.DataFrame(numbers, index=whole)


def _without_index(table: pd.DataFrame, settings: list[str]) -> pd.DataFrame:
    """The table with those settings as columns that are only in its index."""
    only_there = [name for name in table.index.names if name in settings and name not in table]
    if only_there:
        table = table.reset_index(level=only_there)
    return table.reset_index(drop=True)


def _place(table: pd.DataFrame, settings: dict[str, list], row: tuple) -> int:
    """The position of the row with these settings; raises Mistake unless there is exactly one."""
    columns = [table[name].tolist() for name in settings]
    # A column with text in it, such as "none" beside 0, may be all text.
    as_text = [any(isinstance(value, str) for value in values) for values in settings.values()]
    found = [n for n, values in enumerate(zip(*columns, strict=True))
             if all(map(_is_setting, values, row, as_text))]  # fmt: skip
    if len(found) != 1:
        there = "; ".join(
            f"{name}: {', '.join(dict.fromkeys(repr(_plain(value)) for value in values))}"
            for name, values in zip(settings, columns, strict=True)
        )
        raise Mistake(
            f"The table has {len(found)} rows for {named(settings, row)}, and should have one. "
            f"It holds {there}."
        )
    return found[0]


def _is_setting(value: object, expected: object, as_text: bool) -> bool:
    value = _plain(value)
    if isinstance(value, str):
        return as_text and value == str(expected)
    if isinstance(expected, str) or isinstance(value, bool) > isinstance(expected, bool):
        return False  # a bool is not the number 1, though 1 may stand for True
    return math.isclose(_number(value), expected, rel_tol=1e-6)


def _plain(value: object) -> object:
    """What an array or a tensor of one entry holds, as Python's own type."""
    try:
        return value.item()
    except (AttributeError, TypeError, ValueError, RuntimeError):
        return value


def _number(value: object) -> float:
    """A plain value as a float; NaN for what is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _measured(value: object, name: str, run: str) -> float:
    """An entry of the table as a float; raises Mistake for one that is not a finite number."""
    value = _plain(value)
    entry = f"`{name}` for {run} is {value!r:.60}"
    if isinstance(value, str | bytes):
        raise Mistake(f"{entry}, which is text: put the number itself into the table.")
    if isinstance(value, bool | complex):
        kind = "true or false" if isinstance(value, bool) else "a complex number"
        raise Mistake(f"{entry}, {kind}: put what was measured there, one real number.")
    if not math.isfinite(_number(value)):
        raise Mistake(f"{entry}, NaN or not a finite number: look at that run.")
    return float(value)


def named(settings: dict[str, list], row: tuple) -> str:
    """A row, named by its settings: "depth 4, scaled True"."""
    return ", ".join(f"{name} {value}" for name, value in zip(settings, row, strict=True))


def label(rows: pd.DataFrame, n: int) -> str:
    """The n-th row, named by its settings."""
    value = rows.index[n]
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{k} {v}" for k, v in zip(rows.index.names, values, strict=True))
