"""Plumbing · checks of lesson 6's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import math

import torch

from lessons.checks.compare import call, close, expect, on_each
from lessons.checks.tables import fresh, in_nats, label, rows_of, told_apart
from lessons.checks.verdict import Mistake, check
from lessons.gpt import parameter_count
from lessons.language_model import LanguageModel
from lessons.residual import ResidualBlock


@check
def blocks_until_lost(answer):
    """`blocks_until_lost(gradient, factor, smallest)`: after how many blocks it is below."""

    def look(case: str, inputs: tuple) -> None:
        gradient, factor, smallest = inputs
        n, left = 0, gradient
        while left >= smallest:
            n, left = n + 1, left * factor
        exact = math.log(smallest / gradient) / math.log(factor)
        expect(call(answer, gradient, factor, smallest, case=case), n, case, {
            "after that many blocks it is not yet below: round up.": n - 1,
            "one block too many: it is already below before the last.": n + 1,
            "the gradient's size at the start is left out.":
                math.ceil(math.log(smallest) / math.log(factor)),
            "a number of blocks is whole: round up.": exact,
            "the logarithm is to the base 10: divide by the logarithm of the factor.":
                math.ceil(-math.log10(smallest / gradient)),
            "each block halves it here: take `factor`.":
                math.ceil(math.log2(gradient / smallest)),
        })  # fmt: skip

    inputs = [(8.0, 0.6, 0.05), (1.0, 0.25, 0.05), (0.01, 1 / 8, 1e-45)]
    on_each(
        {f"gradient {g:g}, factor {f:g}, smallest {s:g}": (g, f, s) for g, f, s in inputs}, look
    )


@check
def StochasticDepthBlock(answer):  # the name of the class that it checks
    """`StochasticDepthBlock(n_embd, n_head, drop)`: leaves out whole additions in training."""
    C, drop, case = 4, 0.25, "C = 4 and drop = 0.25"
    torch.manual_seed(6)
    block = call(answer, C, 2, drop, case=case)
    # Not isinstance: the lesson has a ResidualBlock of its own, line for line the module's.
    if not (hasattr(block, "communicate") and hasattr(block, "compute")):
        raise Mistake("Derive the class from `ResidualBlock`: it has all the parts.")
    x = torch.randn(1, 3, C, generator=torch.Generator().manual_seed(6))

    def outcome(attn: float, mlp: float, skip: float = 1) -> torch.Tensor:
        """What comes out when the two additions are multiplied by these."""
        y = skip * x + attn * block.communicate(x)
        return (skip * y + mlp * block.compute(y)).detach()

    keep = 1 - drop
    block.eval()
    first, *others = (call(block, x, case=case).detach() for _ in range(20))
    if not all(close(first, other) for other in others):
        raise Mistake("In `eval()` two calls differ: nothing may be left out when it is used.")
    expect(first, outcome(keep, keep), "a block in use", {
        "both additions are kept whole: times 1 - drop, or they are larger in use than the mean "
        "in training.": outcome(1, 1),
        "the additions are multiplied by drop, and they are kept in 1 - drop of the cases.":
            outcome(drop, drop),
        "the skip is made smaller too: only what is added.": outcome(keep, keep, keep),
        "only one of the two additions is multiplied by 1 - drop.": outcome(keep, 1),
    })  # fmt: skip
    block.train()
    whole = {(a, m): outcome(a, m) for a in (0, 1) for m in (0, 1)}
    seen = dict.fromkeys(whole, 0)
    for _ in range(200):
        out = call(block, x, case="a block in training").detach()
        found = [kept for kept, value in whole.items() if close(out, value)]
        if not found:
            raise Mistake(_reason(out, {
                "the additions are made smaller: they are whole, or left out.":
                    [outcome(keep, keep)],
                "the additions are enlarged: here they are made smaller in use.":
                    [outcome(1 / keep, 1 / keep)],
                "the skip is left out with the addition: x itself always stays.":
                    [torch.zeros_like(x), block.compute(torch.zeros_like(x)).detach()],
            }))  # fmt: skip
        seen[found[0]] += 1
    if not seen[0, 1] and not seen[1, 0]:
        raise Mistake("In training both are left out or none: throw the dice for each of the two.")
    attn = (seen[1, 0] + seen[1, 1]) / 200
    # Two hundred throws: five standard deviations are 0.15.
    if abs(attn - keep) > 0.15:
        raise Mistake(f"With drop = 0.25 attention is kept in {attn:.0%} of 200 calls, not 75 %.")


def _reason(out: torch.Tensor, mistakes: dict[str, list[torch.Tensor]]) -> str:
    """Why a training output is none of the four that are possible."""
    for sentence, outputs in mistakes.items():
        if any(close(out, output) for output in outputs):
            return f"In training {sentence}"
    return (
        "In training the output is x with none, one or both of the additions, each of them whole: "
        "yours is none of these four. Are single entries or sequences dropped?"
    )


@check
def depth_experiment(answer, vocab_size):
    """The table of depths: divided, depth, parameters, first_loss, val_loss."""
    settings = {"divided": 4 * [False] + 4 * [True], "depth": 2 * [1, 2, 4, 8]}
    rows = rows_of(answer, settings, ["parameters", "first_loss", "val_loss"])
    for n, (_, depth) in enumerate(rows.index):
        blocks = torch.nn.Sequential(*(ResidualBlock(32, 4) for _ in range(depth)))
        right = parameter_count(LanguageModel(vocab_size, 32, 8, blocks))
        got = rows.parameters.iloc[n]
        if got != right:
            raise Mistake(
                f"{label(rows, n)} has {right:,} parameters, and the table says {got:,.0f}: count "
                "those of the whole model, with this many blocks."
            )
    in_nats(rows, "val_loss", vocab_size)
    fresh(rows, vocab_size)
    told_apart(rows, "val_loss", "divided")
    if rows.first_loss[True, 8] > rows.first_loss[False, 8]:
        raise Mistake(
            "Dividing makes the stream smaller, and yet the first loss of the deepest stack is "
            "higher with it: is `divided` the wrong way round, or is it multiplied?"
        )
