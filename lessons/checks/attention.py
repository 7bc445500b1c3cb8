"""Plumbing · checks of lesson 3's exercises.

Shapes: B batch, T time (positions), C channels (n_embd), hs head size.
"""

import math
from functools import partial

from lessons.attention import Head
from lessons.checks.again import begins, run_again
from lessons.checks.bands import recorded, said
from lessons.checks.compare import call, expect, leak, on_each
from lessons.checks.plausible import fair, vocabulary
from lessons.checks.tables import rows_of
from lessons.checks.verdict import Mistake, check
from lessons.language_model import LanguageModel

import torch


@check
def one_query(answer):
    """`one_query(query, keys, values)`: weights (T,) and output of one query, unscaled."""

    def look(case: str, inputs: tuple) -> None:
        query, keys, values = inputs
        got = call(answer, query, keys, values, case=case)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise Mistake(f"For {case}: return two things, the weights and the output.")
        scores = torch.tensor([sum((q * k).item() for q, k in zip(query, key, strict=True))
                               for key in keys])  # fmt: skip
        weights = scores.exp() / scores.exp().sum()
        expect(got[0], weights, f"{case}, the weights", {
            "these are the scores: softmax turns them into weights.": scores,
            "the scores are divided by their sum: take e to the power of each first.":
                scores / scores.sum(),
            "these are e to the power of the scores: divide them by their sum.": scores.exp(),
            "the scores are scaled by 1/√hs: here they should not be.":
                (scores / len(query) ** 0.5).softmax(dim=0),
            "all the weight goes to the largest score: softmax gives each a share.":
                (scores == scores.max()).double(),
            "the values took the place of the keys.":
                lambda: (values * query.sum()).softmax(dim=0),
        })  # fmt: skip
        output = sum(w * v for w, v in zip(weights, values, strict=True))
        expect(got[1], output, f"{case}, the output", {
            "the values are added without their weights.": values.sum(),
            "these are the values, each with its weight, but not added up.": weights * values,
            "the values are multiplied by the scores, and not by the weights.": scores @ values,
        })  # fmt: skip

    generator = torch.Generator().manual_seed(3)
    # Three keys of size two: a transposed product does not fit.
    small = (torch.tensor([1.0, 0.5]), torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),
             torch.tensor([2.0, 4.0, 8.0]))  # fmt: skip
    by_hand = (torch.ones(2), torch.tensor([[0, 0], [math.log(3), 0]]), torch.tensor([0.0, 8.0]))
    others = [[torch.randn(shape, generator=generator) for shape in ((hs,), (T, hs), (T,))]
              for hs, T in ((4, 3), (3, 7))]  # fmt: skip
    cases = [small, by_hand, *others]
    on_each({f"{len(case[1])} keys of size {len(case[0])}": case for case in cases}, look)


def _loops(head: Head, x: torch.Tensor, sees=lambda t, T: range(t + 1), scale=None, soft=True,
           ask="query", answer="key", kept="all") -> torch.Tensor:  # fmt: skip
    """`Head`, position by position; the arguments are the ways to get it wrong."""
    B, T, _ = x.shape
    hs = head.key.out_features
    q, k, v = getattr(head, ask)(x), getattr(head, answer)(x), head.value(x)
    out = torch.zeros(B, T, hs)
    for b in range(B):
        for t in range(T):
            seen = sees(t, T)
            if seen:
                scores = torch.stack([q[b, t] @ k[b, s] for s in seen]) / (scale or hs**0.5)
                weights = scores.softmax(dim=0) if soft else scores
                terms = [w * v[b, s] for w, s in zip(weights, seen, strict=True)]
                out[b, t] = sum(terms if kept == "all" else terms[-1:])
    return out.detach()


@check
def head_by_loops(answer):
    """`head_by_loops(head, x)`: what `Head` computes, without a mask, (B, T, C) -> (B, T, hs)."""

    def look(case: str, sizes: tuple) -> None:
        (B, T, C), hs, block_size = sizes
        generator = torch.Generator().manual_seed(T)
        head = Head(C, hs, block_size)
        for p in head.parameters():  # large enough that each mistake shows
            p.data = torch.randn(p.shape, generator=generator)
        x = torch.randn(B, T, C, generator=generator)
        got = call(answer, head, x, case=case)
        leak(lambda value: call(answer, head, value, case=case), x, case, "s runs past t.")
        expect(got, head(x), case, {
            "missing 1/√hs: the scores are not scaled.": lambda: _loops(head, x, scale=1),
            "the scores are divided by √C, the size of x: divide by √hs, the size of a query.":
                lambda: _loops(head, x, scale=C**0.5),
            "the scores are divided by hs: divide by its root.":
                lambda: _loops(head, x, scale=hs),
            "position t does not look at itself: s runs from 0 to t, t included.":
                lambda: _loops(head, x, sees=lambda t, T: range(t)),
            "only one term is left of the sum over s: add them up.":
                lambda: _loops(head, x, kept="last"),
            "the value is that of position t itself: each s hands over its own.": head.value(x),
            "query and key are swapped: position t *asks*.":
                lambda: _loops(head, x, ask="key", answer="query"),
            "the softmax is missing: the scores themselves are the weights.":
                lambda: _loops(head, x, soft=False),
        })  # fmt: skip

    sizes = [((1, 2, 3), 2, 2), ((2, 4, 6), 3, 8), ((2, 5, 3), 4, 8)]
    on_each(
        {f"x of shape {s}, hs = {hs}, block_size = {T}": (s, hs, T) for s, hs, T in sizes}, look
    )


@check
def scale_experiment(answer, text):
    """The table of one head with and without scale: scaled, factor, first_loss, val_loss."""
    settings = {"scaled": 3 * [True] + 3 * [False], "factor": 2 * [1, 4, 8]}
    rows = rows_of(answer, settings, ["first_loss", "val_loss"])
    bands = recorded(rows, "scale_experiment", text)
    fair(rows, "val_loss", vocabulary(text), "factor", "scaled")
    hurt = rows.val_loss[False, 8] - rows.val_loss[True, 8]
    if hurt < 0:
        raise Mistake(
            f"At factor 8 the head with its scale ends {-hurt:.3f} higher than the one without: "
            "is the column `scaled` the wrong way round? `Head` is the one that divides by √hs."
        )

    def build_model(vocab_size: int, factor: int = 1) -> LanguageModel:
        head = Head(32, 32, 8)
        head.query.weight.data *= factor
        head.key.weight.data *= factor
        return LanguageModel(vocab_size, 32, 8, head)

    same = (begins(rows, n, text, partial(build_model, factor=factor))
            for n, (_, factor) in enumerate(rows.index[:3]))  # fmt: skip
    if next(same) and not all(same):
        raise Mistake(
            "With factor 1 a run begins as it should, and with 4 or 8 it does not: are the weights "
            "of query and of key made larger, and no others, before the training?"
        )
    again = run_again(rows, 0, text, build_model, max_iters=1000, learning_rate=1e-3)
    return said(rows, bands, again)
