"""Plumbing · checks of lesson 6's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import math

from lessons.checks.again import run_again
from lessons.checks.bands import recorded, said
from lessons.checks.compare import call, close, expect, on_each
from lessons.checks.plausible import fair, told_apart, vocabulary
from lessons.checks.tables import label, rows_of
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
        expect(call(answer, gradient, factor, smallest, case=case), n, case, {
            "it is `smallest` then, and not yet below: the logarithms came out a rounding too low, "
            "so add 1e-9 before you take `floor`.": math.floor(min(exact, difference)) + 1,
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
        })  # fmt: skip

    # In the second to fourth, two blocks land on `smallest`, which is not yet below. Multiplied
    # out all is exact there; but of the ways to write the logarithms each fails in one of them.
    inputs = [(14.0, 0.6, 0.02), (1.0, 0.5, 0.25), (8.0, 0.3, 0.72), (1.0, 0.9, 0.81),
              (0.01, 1 / 8, 1e-45)]  # fmt: skip
    on_each(
        {f"gradient {g:g}, factor {f:g}, smallest {s:g}": (g, f, s) for g, f, s in inputs}, look
    )


@check
def StochasticDepthBlock(answer):  # the name of the class that it checks
    """`StochasticDepthBlock(n_embd, n_head, drop)`: leaves out whole additions in training."""
    C, drop, case = 4, 0.25, "C = 4 and drop = 0.25"
    block = call(answer, C, 2, drop, case=case)
    # Not isinstance: the lesson has a ResidualBlock of its own, line for line the module's.
    if not (hasattr(block, "communicate") and hasattr(block, "compute")):
        raise Mistake("Derive the class from `ResidualBlock`: it has all the parts.")
    x = torch.randn(3, 2, C, generator=torch.Generator().manual_seed(6))

    def outcome(attn: float, mlp: float, skip: float = 1, first: bool = False) -> torch.Tensor:
        """What comes out when the two additions are multiplied by these."""
        # The module's own methods: an answer may override them, as exercise 3 does.
        y = skip * x + attn * ResidualBlock.communicate(block, x)
        return (skip * y + mlp * ResidualBlock.compute(block, x if first else y)).detach()

    block.eval()
    keep = 1 - drop
    first, *others = (call(block, x, case=case).detach() for _ in range(20))
    if not all(close(first, other) for other in others):
        raise Mistake("In `eval()` two calls differ: nothing may be left out in use.")
    expect(first, outcome(keep, keep), "a block in use", {
        "both additions are kept whole. In use each is multiplied by 1 - drop, and in training "
        "nothing is scaled up.": outcome(1, 1),
        "the additions are multiplied by drop, and they are kept with probability 1 - drop.":
            outcome(drop, drop),
        "the skip is scaled down too: scale only what is added.": outcome(keep, keep, keep),
        "the skip is missing.": outcome(keep, keep, 0),
        "only the first of the two additions is multiplied by 1 - drop.": outcome(keep, 1),
        "only the second of the two additions is multiplied by 1 - drop.": outcome(1, keep),
        "the second addition is computed from x, and not from the result of the first.":
            outcome(keep, keep, first=True),
        "0.9 is written into the code: it should be 1 - drop.": outcome(0.9, 0.9),
    })  # fmt: skip
    block.train()
    whole = {(a, m): outcome(a, m) for a in (0, 1) for m in (0, 1)}
    kept = []
    for _ in range(200):
        out = call(block, x, case="a block in training").detach()
        found = [key for key, value in whole.items() if close(out, value)]
        if not found:
            raise Mistake(_reason(out, {
                "the additions are scaled down: each is whole, or left out.":
                    [outcome(keep, keep)],
                "the skip is left out with the addition: x itself always stays.":
                    [torch.zeros_like(x), ResidualBlock.compute(block, 0 * x).detach()],
            }))  # fmt: skip
        kept.append(found[0])
    if all(attn == mlp for attn, mlp in kept):
        raise Mistake("In training both are left out or neither: draw a random number for each.")
    for name, n in (("attention", 0), ("the feed-forward layer", 1)):
        share = sum(which[n] for which in kept) / len(kept)
        # Two hundred draws: five standard deviations are 0.15.
        if abs(share - keep) > 0.15:
            raise Mistake(f"With drop = 0.25 {name} is kept in {share:.0%} of 200 calls, not 75%.")
    always = call(answer, C, 2, 0.0, case="drop = 0")
    calls = [call(always, x, case="drop = 0").detach() for _ in range(100)]
    if not all(close(calls[0], other) for other in calls):
        raise Mistake("With drop = 0 something is left out: is the probability a fixed number?")


def _reason(out: torch.Tensor, mistakes: dict[str, list[torch.Tensor]]) -> str:
    """Why an output in training is none of the four possible ones."""
    for sentence, outputs in mistakes.items():
        if any(close(out, output) for output in outputs):
            return f"In training {sentence}"
    return (
        "In training the output is x with none, one or both of the additions, each of them whole: "
        "yours is none of these four. Are single entries or sequences dropped?"
    )


@check
def depth_experiment(answer, text):
    """The table of depths: divided, depth, parameters, first_loss, val_loss."""
    settings = {"divided": 4 * [False] + 4 * [True], "depth": 2 * [1, 2, 4, 8]}
    rows = rows_of(answer, settings, ["parameters", "first_loss", "val_loss"])
    vocab_size, bands = vocabulary(text), recorded(rows, "depth_experiment", text)

    def build_model(vocab_size: int, depth: int = 1) -> LanguageModel:
        blocks = torch.nn.Sequential(*(ResidualBlock(32, 4) for _ in range(depth)))
        return LanguageModel(vocab_size, 32, 8, blocks)

    for n, (_, depth) in enumerate(rows.index):
        right = parameter_count(build_model(vocab_size, depth))
        got = rows.parameters.iloc[n]
        if got != right:
            raise Mistake(
                f"{label(rows, n)} has {right:,} parameters, and the table says {got:,.0f}: count "
                "those of the whole model, with this many blocks."
            )
    fair(rows, "val_loss", vocab_size)
    told_apart(rows[rows.index.get_level_values("depth") > 1], "val_loss", "divided")
    if rows.val_loss[False, 1] == rows.val_loss[True, 1]:
        raise Mistake("At depth 1 dividing changes nothing: it is the root of *twice* the depth.")
    if rows.first_loss[True, 8] > rows.first_loss[False, 8]:
        raise Mistake(
            "Dividing makes the stream smaller, and yet the first loss of the deepest stack is "
            "higher with it: is `divided` the wrong way round, or is it multiplied?"
        )
    again = run_again(rows, 0, text, build_model, max_iters=400, learning_rate=1e-3)
    return said(rows, bands, f"The parameters were counted again. {again}")
