"""Plumbing · checks of lesson 7's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.checks.again import SEED, begins_with_batch
from lessons.checks.bands import recorded, said
from lessons.checks.compare import call, close, expect, on_each, shape_of
from lessons.checks.plausible import fair, same_start, told_apart, vocabulary
from lessons.checks.tables import rows_of
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
        variance = (centred**2).mean()
        sd = (variance + 1e-5).sqrt()
        mistakes = {
            "it is divided by the variance: take its root.": centred / (variance + 1e-5),
            "the variance is the sum of squares divided by n - 1 here: divide by n.":
                lambda: centred / ((centred**2).sum() / (len(row) - 1) + 1e-5).sqrt(),
            "the squares are added and not averaged.": centred / ((centred**2).sum() + 1e-5).sqrt(),
            "1e-5 is added to the root: add it to the variance, before the root.":
                centred / (variance.sqrt() + 1e-5),
            "the mean is not subtracted.": x / sd,
            "the mean is subtracted, but nothing is divided.": centred,
            "the root of the mean square is taken of the row itself: subtract the mean first.":
                centred / ((x**2).mean() + 1e-5).sqrt(),
        }  # fmt: skip
        if variance == 0:
            zero = "For the row [7, 7, 7]: 0 / 0. Add eps = 1e-5 to the variance before the root."
            try:
                got = call(answer, row, case=case)
            except Mistake as mistake:
                raise Mistake(zero) from None if "ZeroDivision" in str(mistake) else mistake
            if torch.as_tensor(got).isnan().any():
                raise Mistake(zero)
            expect(got, centred / sd, case, mistakes)
        else:
            expect(call(answer, row, case=case), centred / sd, case, mistakes)

    # In the last one the variance is as small as eps, so that it matters where eps is added.
    rows = [
        [2.0, 4.0, 9.0],
        [0.0, 0.0, 6.0],
        [7.0, 7.0, 7.0],
        [1.0, -2.0, 0.5, 4.0, 4.0],
        [0.001, 0.004],
    ]
    on_each({f"the row {row}": row for row in rows}, look)


@check
def RMSNorm(answer):  # the name of the class that it checks
    """`RMSNorm(n_embd, eps)`: each position divided by its root mean square, times a gain."""

    def look(case: str, shape: tuple) -> None:
        C = shape[-1]
        layer = call(answer, C, case=f"n_embd = {C}")
        x = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(C)) + 1
        x = x / 1000 if C == 5 else x  # as small as eps: it matters where eps is added
        parameters = sum(p.numel() for p in layer.parameters())
        if parameters != C:
            raise Mistake(
                f"For n_embd = {C} it has {parameters} parameters: one gain for each channel, an "
                "`nn.Parameter` of ones, and no bias."
            )
        centred = x - x.mean(dim=-1, keepdim=True)

        def mean_square(y, dim=-1):
            return y.pow(2).mean(dim=dim, keepdim=True) + 1e-5

        got = call(layer, x, case=case)
        expect(got, x * mean_square(x) ** -0.5, case, {
            "the mean is subtracted: that is layer norm.": centred * mean_square(centred) ** -0.5,
            "it is divided by the standard deviation, which leaves out the mean: take the mean "
            "of x² itself.": x * mean_square(centred) ** -0.5,
            "it is divided by the standard deviation, and with n - 1: take the mean of x² itself.":
                lambda: x * (x.var(dim=-1, keepdim=True) + 1e-5) ** -0.5,
            "eps is added to the root: add it to the mean square, before the root.":
                x / ((mean_square(x) - 1e-5).sqrt() + 1e-5),
            "it is divided by the mean square: take its root.": x / mean_square(x),
            "the mean is over the positions instead of the channels: dim=-1.":
                lambda: x * mean_square(x, 1) ** -0.5,
            "the mean is over the batch instead of the channels: dim=-1.":
                lambda: x * mean_square(x, 0) ** -0.5,
            "the mean is over everything at once: one for each position, dim=-1.":
                x * (x.pow(2).mean() + 1e-5) ** -0.5,
            "the squares are added and not averaged.":
                x * (x.pow(2).sum(dim=-1, keepdim=True) + 1e-5) ** -0.5,
        })  # fmt: skip
        if not call(layer, torch.zeros(1, 1, C), case="zeros").isfinite().all():
            raise Mistake("For a position of zeros it gives NaN: add eps before the root.")
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.arange(1.0, C + 1))
        if not close(call(layer, x, case=case).double(), got.double() * torch.arange(1.0, C + 1)):
            raise Mistake("Gains 1, 2, 3 … should multiply the channels by just that, at the end.")

    on_each({f"x of shape {shape}": shape for shape in ((1, 2, 4), (3, 5, 6), (2, 1, 5))}, look)
    x = torch.tensor([[[3.0, 4.0]]])
    wide = call(call(answer, 2, 0.5, case="n_embd = 2, eps = 0.5"), x, case=shape_of(x))
    expect(wide, x / 13**0.5, "the row (3, 4), eps = 0.5", {
        "eps is not used.": x / (12.5 + 1e-5) ** 0.5,
    })  # fmt: skip


@check
def warmup_experiment(answer, text):
    """The table of gentle starts: block, warmup, first_loss, last_loss."""
    settings = {"block": 3 * ["post"] + ["pre"], "warmup": [0, 50, 100, 0]}
    rows = rows_of(answer, settings, ["first_loss", "last_loss"])
    bands = recorded(rows, "warmup_experiment", text)
    fair(rows, "last_loss", vocabulary(text), "warmup")
    same_start(rows, "warmup")
    told_apart(rows.loc[[("post", 0), ("pre", 0)]], "last_loss", "block")
    if rows.last_loss["post", 100] > rows.last_loss["post", 0] - 0.1:
        raise Mistake(
            "The warm-up changes next to nothing: set the learning rate of *this* run's optimizer "
            "in every step, before `optimizer.step()`."
        )
    if rows.last_loss["pre", 0] > rows.last_loss["post", 0]:
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
