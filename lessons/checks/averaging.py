"""Plumbing · checks of lesson 2's exercises.

Shapes: B batch, T time (positions), C channels.
"""

import math

from lessons.averaging import average_by_loops
from lessons.bigram import bigram_by_counting
from lessons.checks.bands import recorded, said
from lessons.checks.compare import as_tensor, call, close, expect, leak, on_each, shape_of
from lessons.checks.plausible import fair, told_apart, vocabulary
from lessons.checks.tables import read_rows
from lessons.checks.verdict import Mistake, check
from lessons.dataset import encode_and_split
from lessons.evaluation import full_loss

import torch


@check
def band_shares(answer):
    """`band_shares(T)`: row t shares evenly between position t and the one before, (T, T)."""

    def look(case: str, T: int) -> None:
        got = as_tensor(call(answer, T, case=case), case)
        right, both = torch.zeros(T, T), torch.zeros(T, T)
        for t in range(T):
            for s in range(max(0, t - 1), t + 1):
                right[t, s] = 1 / min(t + 1, 2)
                both[t, s] = 1
        before, past = both.tril(-1), torch.ones(T, T).tril()
        alone, three = before.clone(), past.triu(-2)
        alone[0, 0] = 1
        mistakes = {
            "each row should sum to 1: divide it by its sum.": both,
            "the first row has nobody before it, and should still sum to 1: divide each row by "
            "its own sum, and not by 2.": both / 2,
            "each row is divided by T: divide it by its own sum.": both / T,
            "all rows together sum to 1, but each row should: divide each by its own sum.":
                both / both.sum(),
            "each column sums to 1, but each row should: divide by the sum along dim=1.":
                both / both.sum(dim=0, keepdim=True),
            "each column is divided by a row's sum: `keepdim=True` keeps the sums a column.":
                both / both.sum(dim=1),
            "a softmax gives a share to a score of 0 too: only −∞ gets none.": both.softmax(dim=1),
            "each position looks only at the one before, and not at itself.": before,
            "each position but the first looks only at the one before, and not at itself.": alone,
            "each position looks only at the one before, and not at itself, which leaves 0 / 0 in "
            "the first row: NaN.": before / before.sum(dim=1, keepdim=True),
            "each position looks only at itself: at the one before, too.": torch.eye(T),
            "this is the mean of *all* earlier positions: cut the triangle down to two diagonals.":
                past / past.sum(dim=1, keepdim=True),
            "the triangle is cut down after the rows were divided, so they no longer sum to 1: cut "
            "first.": (past / past.sum(dim=1, keepdim=True)).triu(-1),
            "each position looks at two before it: `triu(-1)` keeps one diagonal below the main "
            "one.": three / three.sum(dim=1, keepdim=True),
        }  # fmt: skip
        try:
            expect(got, right, case, mistakes)
        except Mistake as mistake:
            later = got.triu(1).nonzero().tolist() if got.shape == right.shape else []
            if later and not mistake.known and not got.isnan().any():
                t, s = later[0]
                raise Mistake(
                    f"For {case}: position {t} looks at position {s}, which comes later.",
                    known=False,
                ) from None
            raise

    on_each({f"T = {T}": T for T in (5, 7, 1, 2)}, look)


@check
def average_by_cumsum(answer):
    """`average_by_cumsum(x)`: the mean of each position and its past, (B, T, C) -> (B, T, C)."""

    def look(case: str, x: torch.Tensor) -> None:
        B, T, C = x.shape
        try:
            got = call(answer, x, case=case)
        except Mistake as mistake:
            if not mistake.known and _along_channels(answer):
                raise Mistake(
                    f"For {case}: the divisor runs along the channels, and 1, 2, 3 … should run "
                    "along the positions: give it the shape (T, 1)."
                ) from None
            raise
        sums, steps = x.cumsum(1), torch.arange(1, T + 1)[:, None]
        mistakes = {
            "the sums are not divided: the one at position t has t + 1 terms.": sums,
            "all sums are divided by T: the one at position t has only t + 1 terms.": sums / T,
            "the divisor 1, 2, 3 … counts channels, and should count positions: give it the shape "
            "(T, 1).": sums / torch.arange(1, C + 1),
            "the divisor 1, 2, 3 … counts sequences, and should count positions: give it the shape "
            "(T, 1).": sums / torch.arange(1, B + 1)[:, None, None],
            "the sum at position t is divided by t, but it has t + 1 terms: count from 1.":
                sums / (steps - 1),
            "only the first sum is divided right: the one at position t has t + 1 terms, and not "
            "t.": sums / (steps - 1).clamp(min=1),
            "the sum at position t is divided by t + 2, but it has t + 1 terms: count from 1.":
                sums / (steps + 1),
            "the sum runs over the channels: time is dim=1.": x.cumsum(2) / steps,
            "the sum runs over the batch: time is dim=1.": x.cumsum(0) / steps,
            "nothing is added up: take the running sum along dim=1 first.": x / steps,
            "position t itself is not among its terms.": (sums - x) / (steps - 1).clamp(min=1),
            "each position is averaged with the result before it, which gives the past ever less "
            "weight: add up first, then divide.": lambda: _halving(x),
            "the terms are multiplied, and not added.": x.cumprod(1) / steps,
        }  # fmt: skip
        try:
            expect(got, average_by_loops(x), case, mistakes)
        except Mistake as mistake:
            if not mistake.known:
                leak(lambda value: call(answer, value, case=case), x, case, "the sum runs past t.")
            raise

    generator = torch.Generator().manual_seed(2)
    shapes = [(2, 5, 3), (3, 4, 7), (2, 1, 4)]
    xs = [torch.randn(shape, generator=generator) for shape in shapes]
    on_each({shape_of(x): x for x in [*xs, torch.tensor([[[2.0], [4.0], [9.0]]])]}, look)


def _counted(text: str) -> tuple[float, float]:
    """The least and the greatest loss of pairs counted, by what those never seen are taken for."""
    train_data, val_data, tokenizer = encode_and_split(text)
    losses = [
        full_loss(bigram_by_counting(train_data, tokenizer.vocab_size, smoothing), val_data, 8)
        for smoothing in (1, 0.1, 0.01, 0.001)
    ]
    return min(losses), max(losses)


def _along_channels(answer) -> bool:
    """Whether an answer divides along the channels, which works where there are T of them."""
    x = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(2))
    got = as_tensor(call(answer, x, case=shape_of(x)), shape_of(x))
    return close(got, (x.cumsum(1) / torch.arange(1, 4)).double())


def _halving(x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    for t in range(1, x.shape[1]):
        out[:, t] = (out[:, t - 1] + x[:, t]) / 2
    return out


@check
def context_experiment(answer, text):
    """The table of learned shares by context: tables, block_size, first_loss, val_loss."""
    settings = {"tables": [1, 1, 1, 1, 1, 2], "block_size": [1, 2, 3, 4, 8, 8]}
    rows = read_rows(answer, settings, ["first_loss", "val_loss"])
    bands = recorded(rows, "context_experiment", text)
    fair(rows, "val_loss", text, "block_size", luck=0)
    told_apart(rows.loc[[(1, 8), (2, 8)]], "val_loss", "tables")
    if (rows.first_loss - math.log(vocabulary(text))).abs().max() > 0.02:
        raise Mistake("A table of zeros begins at exactly ln V: set the second one to zero too.")
    alone, eight, both = (rows.val_loss[row] for row in ((1, 1), (1, 8), (2, 8)))
    if bands and eight > alone:
        raise Mistake("More context makes it worse: are the shares learned, with `learn=True`?")
    if bands and eight - both < (alone - eight) / 2:
        raise Mistake(
            "The second table hardly helps: are its logits *added*, after the average, "
            "and does it look at `idx` itself?"
        )
    low, high = _counted(text)
    if not low - 0.05 < alone < high + 0.05:
        raise Mistake(
            f"With block_size 1 only the newest character has a vote, which is the bigram: "
            f"counting gives {low:.3f} to {high:.3f}, and your row has {alone:.3f}. Is it the loss "
            "on `val_data`, after all 3,000 steps, with one block_size in the model and in `train`?"
        )
    again = "With block_size 1 it is what counting pairs gives, computed here."
    return said(rows, bands, again)
