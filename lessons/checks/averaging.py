"""Plumbing · checks of lesson 2's exercises.

Shapes: B batch, T time (positions), C channels.
"""

import math

from lessons.averaging import average_by_loops
from lessons.bigram import bigram_by_counting
from lessons.checks.bands import recorded, said
from lessons.checks.compare import as_tensor, call, expect, leak, on_each, shape_of
from lessons.checks.plausible import fair, told_apart, vocabulary
from lessons.checks.tables import rows_of
from lessons.checks.verdict import Mistake, check
from lessons.dataset import encode_and_split
from lessons.evaluation import full_loss

import torch


@check
def band_weights(answer):
    """`band_weights(T)`: row t shares evenly between position t and the one before, (T, T)."""

    def look(case: str, T: int) -> None:
        got = as_tensor(call(answer, T, case=case), case)
        right, both = torch.zeros(T, T), torch.zeros(T, T)
        for t in range(T):
            for s in range(max(0, t - 1), t + 1):
                right[t, s] = 1 / min(t + 1, 2)
                both[t, s] = 1
        later = got.triu(1).nonzero().tolist() if got.shape == right.shape else []
        if later:
            t, s = later[0]
            raise Mistake(f"For {case}: position {t} looks at position {s}, which comes later.")
        one_line = torch.ones(T, T).tril(-1).triu(-1)
        expect(got, right, case, {
            "each row should sum to 1: divide it by its sum.": both,
            "the first row has nobody before it, and should still sum to 1: divide each row by "
            "its own sum, and not by 2.": both / 2,
            "each column sums to 1, but each row should: divide by the sum along dim=1.":
                both / both.sum(dim=0, keepdim=True),
            "each column is divided by a row's sum: `keepdim=True` keeps the sums a column.":
                both / both.sum(dim=1),
            "each position looks only at the one before, and not at itself.": one_line,
            "this is the mean of *all* earlier positions: cut the triangle down to two diagonals.":
                both.new_ones(T, T).tril() / torch.arange(1, T + 1)[:, None],
        })  # fmt: skip

    on_each({f"T = {T}": T for T in (4, 1, 7)}, look)


@check
def average_by_cumsum(answer):
    """`average_by_cumsum(x)`: the mean of each position and its past, (B, T, C) -> (B, T, C)."""

    def look(case: str, x: torch.Tensor) -> None:
        T = x.shape[1]
        got = call(answer, x, case=case)
        leak(lambda value: call(answer, value, case=case), x, case, "the sum runs past t.")
        steps = torch.arange(1, T + 1)
        expect(got, average_by_loops(x), case, {
            "the sums are not divided: the one at position t has t + 1 terms.": x.cumsum(1),
            "all sums are divided by T: the one at position t has only t + 1 terms.":
                x.cumsum(1) / T,
            "the divisor runs along the channels: give it the shape (T, 1).":
                lambda: x.cumsum(1) / steps,
            "the sum at position t is divided by t, but it has t + 1 terms: count from 1.":
                x.cumsum(1) / (steps - 1)[:, None],
            "the sum runs over the channels: time is dim=1.": x.cumsum(2) / steps[:, None],
            "the sum runs over the batch: time is dim=1.": x.cumsum(0) / steps[:, None],
        })  # fmt: skip

    generator = torch.Generator().manual_seed(2)
    shapes = [(2, 5, 3), (3, 7, 2), (1, 1, 4)]
    # As many channels as positions: a divisor along the wrong axis fits here, and is caught.
    small = torch.tensor([[[2.0, 0.0, 1.0], [4.0, 1.0, 1.0], [9.0, 5.0, 4.0]]])
    xs = [small, *(torch.randn(shape, generator=generator) for shape in shapes)]
    on_each({shape_of(x): x for x in xs}, look)


@check
def context_experiment(answer, text):
    """The table of learned shares by context: tables, block_size, first_loss, val_loss."""
    settings = {"tables": [1, 1, 1, 1, 1, 2], "block_size": [1, 2, 3, 4, 8, 8]}
    rows = rows_of(answer, settings, ["first_loss", "val_loss"])
    vocab_size, bands = vocabulary(text), recorded(rows, "context_experiment", text)
    fair(rows, "val_loss", vocab_size, "block_size")
    told_apart(rows.loc[[(1, 8), (2, 8)]], "val_loss", "tables")
    if (rows.first_loss - math.log(vocab_size)).abs().max() > 0.02:
        raise Mistake("A table of zeros begins at exactly ln V: set the second one to zero too.")
    alone, eight = rows.val_loss[1, 1], rows.val_loss[1, 8]
    if eight > alone:
        raise Mistake("More context makes it worse: are the shares learned, with `learn=True`?")
    train_data, val_data, _ = encode_and_split(text)
    bigram = full_loss(bigram_by_counting(train_data, vocab_size), val_data, 8)
    if abs(alone - bigram) > 0.05:
        raise Mistake(
            f"With block_size 1 only the newest character has a vote, which is the bigram: "
            f"counting gives {bigram:.3f}, and your row has {alone:.3f}. Is it the loss on "
            "`val_data`, after all 3,000 steps, with one block_size in the model and in `train`?"
        )
    if eight - rows.val_loss[2, 8] < (alone - eight) / 2:
        raise Mistake(
            "The second table hardly helps: are its logits *added*, after the average, "
            "and does it look at `idx` itself?"
        )
    again = "With block_size 1 it is what counting pairs gives, computed here."
    return said(rows, bands, again)
