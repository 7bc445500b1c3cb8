"""Plumbing · checks of lesson 9's first exercise.

D is the discount, N all counts together.
"""

from collections.abc import Callable

from lessons.checks.compare import as_tensor, call, expect, on_each
from lessons.checks.verdict import Mistake, check

import torch


@check
def hand_over(answer):
    """`hand_over(counts, discount)`: the shares kept, one for each count, and what is left."""

    def look(case: str, inputs: tuple) -> None:
        counts, discount = inputs
        got = _two_parts(call(answer, list(counts), discount, case=case), len(counts), case)
        if sum(counts):
            c = torch.tensor(counts, dtype=torch.double)
            taken = c.clamp(max=discount)
            kept, left = (c - taken) / c.sum(), taken.sum() / c.sum()
            mistakes = _of_a_seen_context(c, discount, kept, left)
        else:
            kept, left = torch.zeros(len(counts)), torch.tensor(1.0)
            mistakes = {
                "of a context that was never seen nothing is left here, and all of it is.":
                    _row(kept, 0),
                "nothing is known of this context, and yet shares are kept: all is left over.":
                    lambda: _row(kept + 1 / len(counts), 0),
                "what is left of a context that was never seen is all, 1, and not the discount.":
                    _row(kept, discount),
            }  # fmt: skip
        expect(got, _row(kept, left), case, mistakes)

    seen = [([6, 1, 0, 3, 0], 0.7), ([7, 1, 0, 2], 1.5)]
    on_each({f"counts {c}, discount {d}": (c, d) for c, d in seen}, look)
    for counts, discount in (([0, 0, 0], 0.6), ([], 0.9)):
        look(f"counts {counts}, discount {discount}", (counts, discount))
    look("the docstring's example", ([3, 1, 0], 0.75))


def _of_a_seen_context(
    c: torch.Tensor, D: float, kept: torch.Tensor, left: torch.Tensor
) -> dict[str, Callable]:
    """Each mistake's sentence, and what comes of it for the counts c and the discount D."""
    N, seen, taken = c.sum(), (c > 0).double(), c.clamp(max=D)
    off_zeros = torch.where(c > 0, taken, D)
    return {
        "something is taken off counts of 0, and a share comes out below 0: nothing can be taken "
        "there.": lambda: _row((c - off_zeros) / N, off_zeros.sum() / N),
        "a share comes out below 0, though nothing is left of it: a count of 0 keeps 0.":
            lambda: _row((c - off_zeros) / N, left),
        "what is taken off counts of 0 comes back without its sign: a share below 0 is 0.":
            lambda: _row((c - off_zeros).abs() / N, left),
        "what is left is reckoned from all counts: of a count of 0 nothing was taken.":
            lambda: _row(kept, D * len(c) / N),
        "more is taken off a count than it has: of a count below the discount take all.":
            lambda: _row((c - D * seen) / N, D * seen.sum() / N),
        "the whole discount is left over even of a count below it: what is kept and what is left "
        "add up to 1.": lambda: _row(kept, D * seen.sum() / N),
        "nothing is divided: shares are parts of all counts together.":
            lambda: _row(c - taken, taken.sum()),
        "what is kept is not divided by all counts together.": lambda: _row(c - taken, left),
        "what is left is not divided by all counts together.": lambda: _row(kept, taken.sum()),
        "it is divided by how many counts there are, not by their sum.":
            lambda: _row((c - taken) / len(c), taken.sum() / len(c)),
        "it is divided by how many kinds were seen, not by the sum of the counts.":
            lambda: _row((c - taken) / seen.sum(), taken.sum() / seen.sum()),
        "it is divided by what the discount leaves of the counts, not by all that was counted.":
            lambda: _row((c - taken) / (c - taken).sum(), left),
        "what is kept is made to add up to 1, so that nothing is left.":
            lambda: _row((c - taken) / (c - taken).sum(), 0),
        "no discount is taken off, and yet something is left.": lambda: _row(c / N, left),
        "no discount is taken off, and so nothing is left.": lambda: _row(c / N, 0),
        "a part of each count is taken: the discount is subtracted, whatever the count.":
            lambda: _row(c * (1 - D) / N, D),
        "the counts are multiplied by the discount: subtract it.":
            lambda: _row(c * D / N, 1 - D),
        "one discount is left: it was taken off each count above 0.": lambda: _row(kept, D / N),
        "the discount itself is left: it was taken off each count above 0, and all that was taken "
        "is divided as the rest.": lambda: _row(kept, D),
        "what is left is reckoned from the counts of 0, and it was taken off the others.":
            lambda: _row(kept, D * (len(c) - seen.sum()) / N),
        "the second number is all that is kept, and should be what is left of 1.":
            lambda: _row(kept, kept.sum()),
        "what is left is dealt out here: that is for the shorter context to do.":
            lambda: _row(kept + (1 - seen) * left / (1 - seen).sum(), left),
    }  # fmt: skip


def _row(kept: torch.Tensor, left: object) -> torch.Tensor:
    """The shares that are kept, and behind them what is left."""
    return torch.cat((kept.double(), torch.as_tensor(left, dtype=torch.double).view(1)))


def _two_parts(got: object, n: int, case: str) -> torch.Tensor:
    """What is kept for n counts, and behind it what is left, (n + 1,)."""
    if isinstance(got, str | torch.Tensor) or not hasattr(got, "__len__") or len(got) != 2:
        raise Mistake(
            f"For {case}: return two things: a list of the shares that are kept, and the share "
            "that is left."
        )
    kept, left = (as_tensor(part, case) for part in got)
    if left.dim() and not kept.dim():
        raise Mistake(f"For {case}: the list of shares comes first, and then what is left.")
    if left.numel() != 1:
        raise Mistake(f"For {case}: what is left is one number, and here are {left.numel()}.")
    if kept.shape != (n,):
        raise Mistake(
            f"For {case}: {kept.numel()} shares are kept, and there are {n} counts: a share for "
            "each, also of a count of 0."
        )
    return _row(kept, left)
