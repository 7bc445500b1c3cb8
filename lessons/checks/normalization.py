"""Plumbing · checks of lesson 7's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.checks.again import SEED, begins_with_batch
from lessons.checks.bands import recorded, said
from lessons.checks.compare import as_tensor, call, expect, on_each
from lessons.checks.plausible import fair, same_start, told_apart
from lessons.checks.tables import read_rows
from lessons.checks.verdict import Mistake, check
from lessons.language_model import LanguageModel
from lessons.normalization import PostNormBlock

import torch


@check
def layer_norm_row(answer):
    """`layer_norm_row(row)`: a list of numbers to mean 0 and variance 1, eps inside the root."""

    def look(case: str, row: list) -> None:
        x = torch.tensor(row, dtype=torch.double)
        centred = x - x.mean()
        variance, square = (centred**2).mean(), (x**2).mean()
        sd = (variance + 1e-5).sqrt()

        mistakes = {
            "it is divided by the variance: take its root.": centred / (variance + 1e-5),
            "the variance is the sum of squares divided by n - 1 here: divide by n.":
                lambda: centred / ((centred**2).sum() / (len(row) - 1) + 1e-5).sqrt(),
            "the squares are added and not averaged.": centred / ((centred**2).sum() + 1e-5).sqrt(),
            "1e-5 is added to the root: add it to the variance, before the root.":
                centred / (variance.sqrt() + 1e-5),
            "eps is missing: add 1e-5 to the variance, before the root.": centred / variance.sqrt(),
            "the mean is not subtracted.": x / sd,
            "neither is the mean subtracted, nor does the variance leave it out: that is the root "
            "mean square of exercise 2.": x / (square + 1e-5).sqrt(),
            "the mean is subtracted, but nothing is divided.": centred,
            "the root of the mean square is taken of the row itself: subtract the mean first.":
                centred / (square + 1e-5).sqrt(),
            "it is divided by the mean distance from the mean: take the root of the mean square.":
                centred / (centred.abs().mean() + 1e-5),
            "the sum is subtracted, and not the mean.": (x - x.sum()) / sd,
            "the signs are the wrong way round: subtract the mean from the row.": -centred / sd,
            "that is a softmax: it makes shares of a row.": x.softmax(dim=0),
            "it is divided by its sum, which makes the row add up to 1.": x / x.sum(),
        }  # fmt: skip
        if variance > 0:
            expect(call(answer, row, case=case), centred / sd, case, mistakes)
            return
        zero = f"For {case}: 0 / 0. Add eps = 1e-5 to the variance before the root."
        try:
            got = call(answer, row, case=case)
        except Mistake as mistake:
            if "ZeroDivision" in str(mistake):
                raise Mistake(zero) from None
            raise
        if as_tensor(got, case).isnan().any():
            raise Mistake(zero)
        expect(got, centred, case, {})

    # In the last but one the variance is as small as eps, so that it matters where eps is added.
    rows = [
        [2.0, 4.0, 9.0],
        [0.0, 0.0, 6.0],
        [7.0, 7.0, 7.0],
        [1.0, -2.0, 0.5, 4.0, 4.0],
        [0.001, 0.004, 0.002, 0.001],
        [1.0, 3.0],
        [5.0],
    ]
    on_each({f"the row {row}": row for row in rows}, look)


@check
def warmup_experiment(answer, text):
    """The table of gentle starts: block, warmup, first_loss, last_loss."""
    settings = {"block": 3 * ["post"] + ["pre"], "warmup": [0, 50, 100, 0]}
    rows = read_rows(answer, settings, ["first_loss", "last_loss"])
    bands = recorded(rows, "warmup_experiment", text)
    fair(rows, "last_loss", text, "warmup")
    same_start(rows, "warmup")
    told_apart(rows.loc[[("post", 0), ("pre", 0)]], "last_loss", "block")
    if bands and rows.last_loss["post", 100] > rows.last_loss["post", 0] - 0.1:
        raise Mistake(
            "The warm-up changes next to nothing: set the learning rate of *this* run's optimizer "
            "in every step, before `optimizer.step()`."
        )
    if bands and rows.last_loss["pre", 0] > rows.last_loss["post", 0]:
        raise Mistake(
            "Without warm-up pre-norm ends above post-norm, twelve blocks deep and at this "
            "learning rate: are the names swapped? Post-norm is `ln(x + f(x))`."
        )

    def build_model(vocab_size: int) -> LanguageModel:
        blocks = torch.nn.Sequential(*(PostNormBlock(32, 4) for _ in range(12)))
        return LanguageModel(vocab_size, 32, 8, blocks)

    same = begins_with_batch(rows, 0, text, build_model)
    again = f"Post-norm {'begins' if same else 'does not begin'} where seed {SEED} does."
    return said(rows, bands, again)
