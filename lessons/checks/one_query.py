"""Plumbing · the check of lesson 3's first exercise.

Shapes: T time (positions), hs head size.
"""

import math

from lessons.checks.compare import as_tensor, call, expect, on_each
from lessons.checks.verdict import Mistake, check

import torch


@check
def one_query(answer):
    """`one_query(query, keys, values)`: shares (T,) and output of one query, unscaled."""

    def look(case: str, inputs: tuple) -> None:
        query, keys, values = inputs
        T, hs = keys.shape
        got = call(answer, query, keys, values, case=case)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mistake(f"For {case}: return two things, the shares and the output.")
        dims = [as_tensor(part, case).dim() for part in got]
        if dims == [0, 1]:
            raise Mistake(f"For {case}: first the shares, then the output.")
        scores = torch.tensor([sum((q * k).item() for q, k in zip(query, key, strict=True))
                               for key in keys])  # fmt: skip
        shares = scores.exp() / scores.exp().sum()
        lengths = query.norm() * keys.norm(dim=1)
        expect(got[0], shares, f"{case}, the shares", {
            "these are the scores: softmax turns them into shares.": scores,
            "the scores are divided by their sum: take e to the power of each first.":
                scores / scores.sum(),
            "these are e to the power of the scores: divide them by their sum.": scores.exp(),
            "these are logarithms of the shares: take the softmax itself.":
                scores.log_softmax(dim=0),
            "the scores are scaled by 1/√hs: here they should not be.":
                (scores / hs**0.5).softmax(dim=0),
            "the scores are divided by hs: here they should not be.": (scores / hs).softmax(dim=0),
            "the scores have the opposite sign: the largest gets the most.":
                (-scores).softmax(dim=0),
            "query and key are brought to length 1 first: take the dot product of what they are.":
                (scores / lengths).softmax(dim=0),
            "each score goes through a sigmoid by itself: a softmax makes them sum to 1.":
                scores.sigmoid(),
            "the base of the powers is 2: softmax takes e.":
                (math.log(2) * scores).softmax(dim=0),
            "everything goes to the largest score: softmax gives each a share.":
                (scores == scores.max()).double(),
            "all shares are equal: query and keys have no say.": torch.full((T,), 1 / T),
            "the query is left out: a score is its dot product with a key.":
                keys.sum(dim=1).softmax(dim=0),
            "the values took the place of the keys.":
                lambda: (values * query.sum()).softmax(dim=0),
        })  # fmt: skip
        output = sum(w * v for w, v in zip(shares, values, strict=True))
        expect(got[1], output, f"{case}, the output", {
            "the values are added without their shares.": values.sum(),
            "this is the plain mean of the values, without their shares.": values.mean(),
            "these are the values, each with its share, but not added up.": shares * values,
            "the values with their shares are averaged: add them up.": (shares * values).mean(),
            "the values are multiplied by the scores, and not by the shares.": scores @ values,
            "the values are multiplied by e to the power of the scores: divide these by their sum.":
                scores.exp() @ values,
            "this is the value with the largest weight: each has its share.":
                values[shares.argmax()],
            "the keys are added up with these shares, and not the values.": shares @ keys,
        })  # fmt: skip

    generator = torch.Generator().manual_seed(3)
    # Three keys of size two: a transposed product does not fit. One score is below 0.
    small = (torch.tensor([1.0, -0.5]), torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 2.0]]),
             torch.tensor([2.0, 4.0, 9.0]))  # fmt: skip
    by_hand = (torch.ones(2), torch.tensor([[0, 0], [math.log(3), 0]]), torch.tensor([0.0, 8.0]))
    example = (torch.zeros(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([2.0, 6.0]))
    others = [[torch.randn(shape, generator=generator) for shape in ((hs,), (T, hs), (T,))]
              for hs, T in ((5, 3), (3, 7), (4, 1))]  # fmt: skip
    cases = [small, *others, by_hand, example]
    on_each({f"{len(keys)} keys of size {len(query)}, query {_short(query)}": (query, keys, values)
             for query, keys, values in cases}, look)  # fmt: skip


def _short(query: torch.Tensor) -> str:
    return f"({', '.join(f'{q:.2g}' for q in query.tolist())})"
