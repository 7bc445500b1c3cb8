"""Plumbing · looking at an experiment's table: is every row there, and is it plausible?

Losses are in nats per character.
"""

import math

from lessons.checks.verdict import Mistake

import pandas as pd


def rows_of(table: object, settings: dict[str, list], measured: list[str]) -> pd.DataFrame:
    """A copy of the table, indexed by its settings, with the expected rows in order.

    `settings` has a list of values for each column that says what was tried: the n-th values
    together make the n-th expected row. Raises Mistake for what is missing or not a number.
    """
    if not isinstance(table, pd.DataFrame):
        raise Mistake("Return a pandas DataFrame: `pd.DataFrame(rows, columns=[...])`.")
    if any(name in settings for name in table.index.names):
        table = table.reset_index()
    for name in (*settings, *measured):
        if list(table.columns).count(name) != 1:
            n = list(table.columns).count(name)
            raise Mistake(
                f"The table has {n} columns named `{name}`: it has {', '.join(map(str, table))}."
            )
    places = [_place(table, settings, row) for row in zip(*settings.values(), strict=True)]
    numbers = table.iloc[places][measured].apply(lambda column: column.map(_number))
    index = [pd.Index(values, name=name) for name, values in settings.items()]
    numbers.index = index[0] if len(index) == 1 else pd.MultiIndex.from_arrays(index)
    if numbers.isna().any(axis=None):
        raise Mistake("An entry of the table is NaN or not a number: look at that run.")
    return numbers


def _place(table: pd.DataFrame, settings: dict[str, list], row: tuple) -> int:
    """The position of the row with these settings; raises Mistake unless there is exactly one."""
    columns = [table[name] for name in settings]
    found = [n for n, values in enumerate(zip(*columns, strict=True))
             if all(map(_same, values, row))]  # fmt: skip
    if len(found) != 1:
        there = "; ".join(f"{c.name}: {', '.join(map(repr, c.unique().tolist()))}" for c in columns)
        raise Mistake(
            f"The table has {len(found)} rows for {named(settings, row)}, and should have one. "
            f"It holds {there}."
        )
    return found[0]


def _same(value: object, expected: object) -> bool:
    if isinstance(expected, str) or isinstance(value, str):
        return value == expected
    return math.isclose(_number(value), expected, rel_tol=1e-6)


def _number(value: object) -> float:
    """A number, or a tensor that holds one, as a float; NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def named(settings: dict[str, list], row: tuple) -> str:
    """A row, named by its settings: "depth 4, scaled True"."""
    return ", ".join(f"{name} {value}" for name, value in zip(settings, row, strict=True))


def label(rows: pd.DataFrame, n: int) -> str:
    """The n-th row, named by its settings."""
    value = rows.index[n]
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{k} {v}" for k, v in zip(rows.index.names, values, strict=True))


def fair(rows: pd.DataFrame, column: str, vocab_size: int, *settings: str) -> None:
    """Raise Mistake for a run whose losses are not plausible, or a setting that changes nothing.

    `column` holds the losses at the end, first_loss those at the beginning.
    """
    in_nats(rows, column, vocab_size)
    fresh(rows, vocab_size)
    for setting in settings:
        told_apart(rows, column, setting)


def fresh(rows: pd.DataFrame, vocab_size: int) -> None:
    """Raise Mistake if a run does not begin near ln V, as an untrained model does."""
    nats = math.log(vocab_size)
    for n, loss in enumerate(rows.first_loss):
        if loss < nats - 0.3:
            raise Mistake(
                f"The run with {label(rows, n)} begins at {loss:.2f}, but a model that knows "
                f"nothing begins at ln V = {nats:.2f} or above: this one was already trained. "
                "Build a new one, with the same seed, for every row."
            )


def in_nats(rows: pd.DataFrame, column: str, vocab_size: int) -> None:
    """Raise Mistake for a loss that no honest run can have, such as a perplexity or a leak."""
    nothing = math.log(vocab_size)
    for n, loss in enumerate(rows[column]):
        run = f"The run with {label(rows, n)} has the `{column}` {loss:.2f}"
        if loss > nothing:
            raise Mistake(
                f"{run}, above ln V = {nothing:.2f}, the loss of a model that knows nothing: is it "
                "a perplexity, or were the gradients not cleared in every step?"
            )
        if loss < 1:  # rung 8, at its best on a GPU, is above 1.4
            raise Mistake(
                f"{run}, and no model of this course comes near that: does it see the future, or "
                "is it measured with the inputs as targets?"
            )


def told_apart(rows: pd.DataFrame, column: str, setting: str) -> None:
    """Raise Mistake if two rows that differ in `setting` alone have the very same loss."""
    others = [name for name in rows.index.names if name != setting]
    flat = rows.reset_index()
    groups = flat.groupby(others, sort=False) if others else [((), flat)]
    for _, group in groups:
        twins = group[group[column].duplicated(keep=False)]
        if len(twins):
            if (rows[column].round(2) == rows[column]).all():
                raise Mistake(f"Two rows have the same `{column}`: leave it unrounded.")
            a, b = twins[setting].iloc[:2]
            raise Mistake(
                f"`{setting}` {a} and {b} have the same `{column}` to the last digit: the "
                "setting does not reach the model that is trained."
            )
