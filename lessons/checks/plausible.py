"""Plumbing · whether the losses of an experiment can be right, on any text.

Losses are in nats per character.
"""

import math
from collections.abc import Iterable

from lessons.checks.tables import label
from lessons.checks.verdict import Mistake

import pandas as pd


def vocabulary(text: object) -> int:
    """How many characters the text has that the check was given."""
    if not isinstance(text, str):
        raise Mistake("The check takes two things, the table and `text`, all that was loaded.")
    return len(set(text))


def fair(rows: pd.DataFrame, column: str, vocab_size: int, *settings: str) -> None:
    """Raise Mistake for a run whose losses are not plausible, or a setting that changes nothing.

    `column` holds the losses at the end, first_loss those at the beginning.
    """
    fresh(rows, vocab_size)
    in_nats(rows, column, vocab_size)
    for setting in settings:
        told_apart(rows, column, setting)


def same_start(rows: pd.DataFrame, setting: str) -> None:
    """Raise Mistake if rows that differ in `setting` alone begin with different losses.

    For a setting that an untrained model has nothing to do with, such as the learning rate.
    """
    for _, group in _that_differ_in(rows, setting):
        if group.first_loss.max() - group.first_loss.min() > 2e-3:
            raise Mistake(
                f"Rows that differ only in `{setting}` begin with the very same model, and here "
                f"their `first_loss` runs from {group.first_loss.min():.3f} to "
                f"{group.first_loss.max():.3f}: set the seed before every row, and build the model "
                "after it."
            )


def fresh(rows: pd.DataFrame, vocab_size: int) -> None:
    """Raise Mistake if a run does not begin near ln V, as an untrained model does."""
    nats = math.log(vocab_size)
    for n, loss in enumerate(rows.first_loss):
        # Far from any untrained model; in bits it would be ln V / ln 2 or above, and so on.
        if loss > nats + 1.2:
            unit = "bits" if loss * math.log(2) < nats + 1.2 else "perplexities"
            raise Mistake(
                f"The run with {label(rows, n)} begins at {loss:.2f}, and an untrained model at "
                f"about ln V = {nats:.2f} nats: are these {unit}?"
            )
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
        if loss < 0:
            raise Mistake(f"{run}, and minus the logarithm of a probability is never negative.")
        if loss < 1:  # rung 8, at its best on a GPU, is above 1.4
            raise Mistake(
                f"{run}, and no model of this course comes near that: does it see the future, or "
                "is it measured with the inputs as targets?"
            )


def unrounded(losses: pd.Series) -> None:
    """Raise Mistake if all losses have two digits: what a row gains may be less than that."""
    if (losses - losses.round(2)).abs().max() < 1e-6:
        raise Mistake(
            f"`{losses.name}` has two digits after the point: leave it unrounded, for rows may "
            "differ by less."
        )


def told_apart(rows: pd.DataFrame, column: str, setting: str) -> None:
    """Raise Mistake if two rows that differ in `setting` alone have the very same loss."""
    for _, group in _that_differ_in(rows, setting):
        twins = group[group[column].duplicated(keep=False)]
        if len(twins):
            unrounded(rows[column])
            a, b = twins[setting].iloc[:2]
            raise Mistake(
                f"`{setting}` {a} and {b} have the same `{column}` to the last digit: the "
                "setting does not reach the model that is trained."
            )


def _that_differ_in(rows: pd.DataFrame, setting: str) -> Iterable[tuple[object, pd.DataFrame]]:
    """The rows in groups of those that differ in `setting` alone, each with its key."""
    others = [name for name in rows.index.names if name != setting]
    return rows.reset_index().groupby(others, sort=False)
