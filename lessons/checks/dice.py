"""Plumbing · how often a residual block that throws dice keeps its two additions.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lessons.checks.verdict import Mistake
from lessons.residual import ResidualBlock

import torch
import torch.nn as nn

NAMES = ("attention", "the feed-forward layer")
WAYS = [(0, 0), (0, 1), (1, 0), (1, 1)]  # (attention, feed-forward): 1 where it is kept
THROWS = 1500


def outcome(block: nn.Module, x: torch.Tensor, attn: float, mlp: float, skip: float = 1,
            first: bool = False) -> torch.Tensor:  # fmt: skip
    """What comes out when the two additions are multiplied by these, with its gradient."""
    # The module's own methods: an answer may override them, as exercise 3 does.
    y = skip * x + attn * ResidualBlock.communicate(block, x)
    return skip * y + mlp * ResidualBlock.compute(block, x if first else y)


@contextmanager
def standing_in(forwards: dict[nn.Module, Callable]) -> Iterator[None]:
    """While it lasts, these parts of a block compute something else, without gradients."""
    try:
        for part, forward in forwards.items():
            part.forward = forward
        with torch.no_grad():
            yield
    finally:
        for part in forwards:
            vars(part).pop("forward", None)


def outcomes(block: nn.Module, x: torch.Tensor, calls: int, forwards: dict) -> Counter | None:
    """How often each of WAYS comes out of so many calls in training; None if anything else does."""
    block.train()
    with standing_in(forwards):
        possible = torch.stack([outcome(block, x, *way).flatten() for way in WAYS])  # (4, BTC)
        outs = torch.stack([block(x).flatten() for _ in range(calls)])  # (calls, BTC)
    apart = (outs[:, None] - possible).abs().amax(dim=-1)  # (calls, 4)
    nearest = apart.min(dim=-1)
    if not (nearest.values < 1e-4).all():
        return None
    return Counter(WAYS[n] for n in nearest.indices.tolist())


def thrown(block: nn.Module, x: torch.Tensor, calls: int) -> Counter:
    """The same with parts that cost next to nothing: many throws in little time."""
    x, five = torch.ones_like(x), torch.full_like(x, 5)
    cheap = dict.fromkeys((block.attn, block.proj, block.dropout), lambda x: x)
    cheap[block.mlp] = lambda x: five  # 1, 2, 6 or 7 in the end
    for forwards in (cheap, {}):  # an answer may go round one of the parts
        counts = outcomes(block, x, calls, forwards)
        if counts is not None:
            return counts
    raise Mistake("In training a call now and then is none of the four possible ones.")


def fair_dice(make: Callable[[float], nn.Module], x: torch.Tensor) -> None:
    """Raise Mistake unless make(drop) keeps each addition with 1 - drop, by a die of its own."""
    drop, keep = 0.4, 0.6
    counts, calls = thrown(make(drop), x, THROWS), f"In {THROWS:,} calls with drop = {drop}"
    _never(counts, calls)
    _at_the_end(make(0.0), x, "With drop = 0", "left out", "is the probability a fixed number?")
    for name, n in _kept(counts).items():
        if _unlikely(n, keep):
            raise Mistake(f"{calls} {name} is kept in {n / THROWS:.0%}, and not in {keep:.0%}.")
    for n, p, what in ((counts[1, 1], keep**2, "kept"), (counts[0, 0], drop**2, "left out")):
        if _unlikely(n, p):
            raise Mistake(
                f"{calls} both are {what} in {n / THROWS:.1%}, and two throws that know nothing of "
                f"each other do that in {p:.1%}: a random number may decide only one of them."
            )
    _at_the_end(make(1.0), x, "With drop = 1", "kept", "there each is left out for certain.")


def _at_the_end(block: nn.Module, x: torch.Tensor, given: str, what: str, hint: str) -> None:
    """Raise Mistake for what is left to chance where nothing is, with drop 0 or 1."""
    for name, n in _kept(thrown(block, x, 100)).items():
        odd = n if what == "kept" else 100 - n
        if odd == 100:
            raise Mistake(f"{given} {name} is always {what}: drop is the probability to leave out.")
        # A random number is exactly 0 once in 2 ** 24 times: one or two are no mistake.
        if odd > 2:
            raise Mistake(f"{given} {name} is {what} now and then: {hint}")


def _kept(counts: Counter) -> dict[str, int]:
    """In how many calls each addition is kept."""
    return {name: sum(counts[way] for way in WAYS if way[n]) for n, name in enumerate(NAMES)}


def _never(counts: Counter, calls: str) -> None:
    """Raise Mistake for what never happens, and should now and then."""
    if len(counts) == 1:
        (way,) = counts
        said = {(1, 1): "nothing is ever left out", (0, 0): "both are always left out",
                (1, 0): f"only {NAMES[0]} is kept, always",
                (0, 1): f"only {NAMES[1]} is kept, always"}  # fmt: skip
        raise Mistake(f"{calls} {said[way]}: draw new random numbers in each.")
    if counts[1, 0] == counts[0, 1] == 0:
        raise Mistake("In training both are left out or neither: draw a random number for each.")
    for name, n in _kept(counts).items():
        if n in (0, THROWS):
            raise Mistake(f"{calls} {name} is {'always' if n == 0 else 'never'} left out.")
    for (one, other), n in ((NAMES, counts[0, 1]), (NAMES[::-1], counts[1, 0])):
        if n == 0:
            raise Mistake(f"Where {one} is left out, {other} is too: each has a throw of its own.")


def _unlikely(n: int, p: float) -> bool:
    """Whether n of THROWS calls is out of reach of a probability p.

    A right answer comes that far less than once in 10 ** 10 times (Chernoff: 2 e ** -25), so that
    all comparisons of a check together refuse less than one right answer in 10 ** 9.
    """
    share = n / THROWS
    terms = [q * math.log(q / r) for q, r in ((share, p), (1 - share, 1 - p)) if q > 0]
    return THROWS * sum(terms) > 25
