"""Plumbing · looking at an experiment's table: is every row there, and is it a fair one?

Losses are in nats per character.
"""

import math

import pandas as pd

from lessons.checks.verdict import Mistake


def rows_of(table: object, settings: dict[str, list], measured: list[str]) -> pd.DataFrame:
    """A copy of the table, indexed by its settings, with a row for each of the wanted ones.

    `settings` has a list of values for each column that says what was tried: the n-th values
    together make the n-th wanted row. Raises Mistake for what is missing, or no number.
    """
    if not isinstance(table, pd.DataFrame):
        raise Mistake("Return a pandas DataFrame: `pd.DataFrame(rows, columns=[...])`.")
    missing = [name for name in (*settings, *measured) if name not in table]
    if missing:
        raise Mistake(f"The table has no column `{missing[0]}`: {', '.join(map(str, table))}.")
    wanted = list(zip(*settings.values(), strict=True))
    there = list(table[list(settings)].itertuples(index=False, name=None))
    for row in wanted:
        if there.count(row) != 1:
            raise Mistake(f"The table has {there.count(row)} rows for {named(settings, row)}.")
    keys = wanted if len(settings) > 1 else [value for (value,) in wanted]
    kept = table.set_index(list(settings)).loc[keys]
    numbers = kept[measured].apply(pd.to_numeric, errors="coerce")
    if numbers.isna().any(axis=None):
        raise Mistake("Some entry of the table is NaN or no number: look at that run.")
    return numbers


def named(settings: dict[str, list], row: tuple) -> str:
    """A row by its settings: "depth 4, scaled True"."""
    return ", ".join(f"{name} {value}" for name, value in zip(settings, row, strict=True))


def label(rows: pd.DataFrame, n: int) -> str:
    """The n-th row by its settings."""
    value = rows.index[n]
    values = value if isinstance(value, tuple) else (value,)
    return ", ".join(f"{k} {v}" for k, v in zip(rows.index.names, values, strict=True))


def fresh(rows: pd.DataFrame, vocab_size: int) -> None:
    """Raise Mistake if a run does not begin near ln V, as an untrained model does."""
    nats = math.log(vocab_size)
    for n, loss in enumerate(rows.first_loss):
        if loss < nats - 0.3:
            raise Mistake(
                f"The run with {label(rows, n)} begins at {loss:.2f}, and a model that knows "
                f"nothing at ln V = {nats:.2f} or above: it goes on with a trained model. Build "
                "a new one, with the same seed, for every row."
            )


def in_nats(rows: pd.DataFrame, column: str, vocab_size: int) -> None:
    """Raise Mistake if every loss is worse than knowing nothing: a perplexity, or no training."""
    if (rows[column] > math.log(vocab_size)).all():
        raise Mistake(
            f"Every `{column}` is above ln V = {math.log(vocab_size):.2f}, the loss of one who "
            "knows nothing: is it a perplexity, or was nothing trained?"
        )


def told_apart(rows: pd.DataFrame, column: str, setting: str) -> None:
    """Raise Mistake if two rows that differ in `setting` alone have the very same loss."""
    others = [name for name in rows.index.names if name != setting]
    flat = rows.reset_index()
    groups = flat.groupby(others, sort=False) if others else [((), flat)]
    for _, group in groups:
        twins = group[group[column].duplicated(keep=False)]
        if len(twins):
            a, b = twins[setting].iloc[:2]
            raise Mistake(
                f"`{setting}` {a} and {b} have the same `{column}` to the last digit: the "
                "setting does not reach the model that is trained."
            )
