"""Plumbing · checks of lesson 6's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import math
from functools import partial

from lessons.checks.again import begins, run_again
from lessons.checks.bands import recorded, said
from lessons.checks.compare import call, expect, on_each
from lessons.checks.plausible import fair, told_apart, twins, vocabulary
from lessons.checks.tables import label, read_rows
from lessons.checks.verdict import Mistake, check
from lessons.gpt import parameter_count
from lessons.language_model import LanguageModel
from lessons.residual import ResidualBlock

import torch


@check
def blocks_until_lost(answer):
    """`blocks_until_lost(gradient, factor, smallest)`: how many blocks until it is below."""

    def look(case: str, inputs: tuple) -> None:
        gradient, factor, smallest = inputs
        n, left = 0, gradient
        while left >= smallest:
            n, left = n + 1, left * factor
        exact = math.log(smallest / gradient) / math.log(factor)
        difference = (math.log(smallest) - math.log(gradient)) / math.log(factor)
        rounded = math.floor(min(exact, difference)) + 1
        mistakes = {
            "after that many blocks it is not yet below: take the next whole number above.": n - 1,
            "one block too many: it is already below before the last.": n + 1,
            "the gradient's size at the start is left out.":
                math.ceil(math.log(smallest) / math.log(factor)),
            "a number of blocks is whole: take the next whole number above.": exact,
            "each block makes it eight times smaller here: take `factor`.":
                math.ceil(math.log(gradient / smallest) / math.log(8)),
            "the logarithm is to the base 10: divide by the logarithm of the factor.":
                math.ceil(-math.log10(smallest / gradient)),
            "each block halves it here: take `factor`.":
                math.ceil(math.log2(gradient / smallest)),
        }  # fmt: skip
        if rounded < n:  # whoever came this far makes none of these
            mistakes = {
                "it is `smallest` then, and not yet below: the logarithms came out a rounding too "
                "low, so add 1e-9 before you take `floor`.": rounded,
            }
        expect(call(answer, gradient, factor, smallest, case=case), n, case, mistakes)

    # In the second to fourth, two blocks land on `smallest`, which is not yet below. Multiplied
    # out all is exact there; but of the ways to write the logarithms each fails in one of them.
    inputs = [(14.0, 0.6, 0.02), (1.0, 0.5, 0.25), (8.0, 0.3, 0.72), (1.0, 0.9, 0.81),
              (0.01, 1 / 8, 1e-45)]  # fmt: skip
    on_each(
        {f"gradient {g:g}, factor {f:g}, smallest {s:g}": (g, f, s) for g, f, s in inputs}, look
    )


@check
def depth_experiment(answer, text):
    """The table of depths: divided, depth, parameters, first_loss, val_loss."""
    settings = {"divided": 4 * [False] + 4 * [True], "depth": 2 * [1, 2, 4, 8]}
    rows = read_rows(answer, settings, ["parameters", "first_loss", "val_loss"])
    vocab_size, bands = vocabulary(text), recorded(rows, "depth_experiment", text)

    def build_model(vocab_size: int, depth: int = 1, divided: bool = False) -> LanguageModel:
        blocks = torch.nn.Sequential(*(ResidualBlock(32, 4) for _ in range(depth)))
        for last in (part for b in blocks for part in (b.proj, b.mlp.net[-1]) if divided):
            for p in last.parameters():
                p.data /= (2 * depth) ** 0.5
        return LanguageModel(vocab_size, 32, 8, blocks)

    for n, (_, depth) in enumerate(rows.index):
        right = parameter_count(build_model(vocab_size, depth))
        got = rows.parameters.iloc[n]
        if got != right:
            raise Mistake(
                f"{label(rows, n)} has {right:,} parameters, and the table says {got:,.0f}: count "
                "those of the whole model, with this many blocks."
            )
    fair(rows, "val_loss", text)
    told_apart(rows[rows.index.get_level_values("depth") > 1], "val_loss", "divided")
    if twins(rows.xs(1, level="depth"), "val_loss").any():
        raise Mistake("At depth 1 dividing changes nothing: it is the root of *twice* the depth.")
    if bands and rows.first_loss[True, 8] > rows.first_loss[False, 8] + 0.1:  # luck is less
        raise Mistake(
            "Dividing makes the stream smaller, and yet the first loss of the deepest stack is "
            "higher with it: is `divided` the wrong way round, or is it multiplied?"
        )
    # At depth 4 each way to divide begins elsewhere, and a divided bias makes no difference.
    n, divided = rows.index.get_loc((True, 4)), partial(build_model, depth=4, divided=True)
    if begins(rows, 0, text, build_model) and not begins(rows, n, text, divided, within=5e-3):
        raise Mistake(
            f"{label(rows, 0)} begins as it should, and {label(rows, n)} does not: is what "
            "attention adds divided by √(2 · depth), what the feed-forward layer adds too, and "
            "nothing else, before the training? Is the seed set anew for every row?"
        )
    again = run_again(rows, 0, text, build_model, max_iters=400, learning_rate=1e-3)
    return said(rows, bands, f"The parameters were counted again. {again}")
