"""Plumbing · whether the losses of an experiment can be right, on any text.

Losses are in nats per character.
"""

import math
from collections import Counter
from collections.abc import Iterable

from lessons.batches import split
from lessons.checks.tables import label
from lessons.checks.verdict import Mistake

import pandas as pd

# How far a first loss may lie from ln V, beside what the logits' spread adds to it, where all
# characters are one: seeds of the lessons' models went 1.9 below and 2.3 above.
LUCK = 3.5


def vocabulary(text: object) -> int:
    """How many characters the text has that the check was given."""
    if not isinstance(text, str) or not text:
        raise Mistake("The check takes two things, the table and `text`, all that was loaded.")
    return len(set(text))


def fair(rows: pd.DataFrame, column: str, text: str, *settings: str, luck: float = LUCK) -> None:
    """Raise Mistake for losses that are impossible on this text, or a setting without effect.

    `column` holds the losses at the end, first_loss those at the beginning.
    """
    fresh(rows, text, luck)
    not_negative(rows, "first_loss")
    not_negative(rows, column)
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


def fresh(rows: pd.DataFrame, text: str, luck: float = LUCK) -> None:
    """Raise Mistake if a run does not begin near ln V, as an untrained model does.

    The fewer characters make up a split, the more its loss is theirs alone, and so left to luck.
    """
    nats = math.log(vocabulary(text))
    luck *= max(map(_concentration, split(text)))
    for n, loss in enumerate(rows.first_loss):
        if loss > nats + 0.6 + luck:
            unit = "bits" if loss * math.log(2) < nats + 0.6 + luck else "perplexities"
            raise Mistake(
                f"The run with {label(rows, n)} begins at {loss:.2f}, and an untrained model at "
                f"about ln V = {nats:.2f} nats: are these {unit}?"
            )
        if loss < nats - 0.1 - luck:
            raise Mistake(
                f"The run with {label(rows, n)} begins at {loss:.2f}, but a model that knows "
                f"nothing begins at about ln V = {nats:.2f}: this one was already trained. "
                "Build a new one, with the same seed, for every row."
            )


def _concentration(part: str) -> float:
    """1 if a text is one character again and again, 1/√V if its V characters are as frequent."""
    return sum((n / len(part)) ** 2 for n in Counter(part).values()) ** 0.5


def not_negative(rows: pd.DataFrame, column: str) -> None:
    """Raise Mistake for what no loss can be, whatever the text."""
    for n, loss in enumerate(rows[column]):
        if loss < 0:
            raise Mistake(
                f"The run with {label(rows, n)} has the `{column}` {loss:.2f}, and minus the "
                "logarithm of a probability is never negative."
            )


def on_tiny_shakespeare(rows: pd.DataFrame, column: str, vocab_size: int) -> None:
    """Raise Mistake for a loss that no run has there, such as a perplexity or a leak.

    On another text all of it may be honest: an easy one is learned, a short one memorised.
    """
    nothing = math.log(vocab_size)
    for n, loss in enumerate(rows[column]):
        run = f"The run with {label(rows, n)} has the `{column}` {loss:.2f}"
        if loss > nothing:
            raise Mistake(
                f"{run}, above ln V = {nothing:.2f}, the loss of a model that knows nothing: is it "
                "a perplexity, or were the gradients not cleared in every step?"
            )
        if 0 <= loss < 1:  # rung 8, at its best on a GPU, is above 1.4
            raise Mistake(
                f"{run}, and no model of this course comes near that: does it see the future, or "
                "is it measured with the inputs as targets?"
            )


def unrounded(losses: pd.Series) -> None:
    """Raise Mistake if all losses have two digits: what a row gains may be less than that."""
    if _rounded(losses, 2).all():
        raise Mistake(
            f"`{losses.name}` has two digits after the point: leave it unrounded, for rows may "
            "differ by less."
        )


def told_apart(rows: pd.DataFrame, column: str, setting: str) -> None:
    """Raise Mistake if two rows that differ in `setting` alone have the very same loss."""
    for _, group in _that_differ_in(rows, setting):
        same = group[twins(group, column)]
        if len(same):
            a, b = same[setting].iloc[:2]
            raise Mistake(
                f"`{setting}` {a} and {b} have the same `{column}` to the last digit: the "
                "setting does not reach the model that is trained."
            )


def twins(rows: pd.DataFrame, column: str) -> pd.Series:
    """Which rows have a loss that another one has too, and not by chance.

    That may be where a loss is rounded, or nothing was learned that the measure would show.
    """
    losses = rows[column]
    unmoved = (losses - rows.get("first_loss", math.nan)).abs() < 1e-5
    return losses.duplicated(keep=False) & ~_rounded(losses, 4) & ~unmoved


def _rounded(losses: pd.Series, digits: int) -> pd.Series:
    """Which losses have no more digits than that: those of two rows may agree by chance."""
    return (losses - losses.round(digits)).abs() < 2e-6  # as far as single precision goes


def _that_differ_in(rows: pd.DataFrame, setting: str) -> Iterable[tuple[object, pd.DataFrame]]:
    """The rows in groups of those that differ in `setting` alone, each with its key."""
    others = [name for name in rows.index.names if name != setting]
    return rows.reset_index().groupby(others, sort=False)
