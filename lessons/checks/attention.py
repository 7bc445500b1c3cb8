"""Plumbing · checks of lesson 3's second and third exercise.

Shapes: B batch, T time (positions), C channels (n_embd), hs head size.
"""

import functools

from lessons.attention import Head
from lessons.checks.again import begins, run_again
from lessons.checks.bands import recorded, said
from lessons.checks.modules import same_as_module
from lessons.checks.plausible import fair
from lessons.checks.tables import read_rows
from lessons.checks.verdict import Mistake, check
from lessons.language_model import LanguageModel

import torch


@check
def head_by_loops(answer):
    """`head_by_loops(head, x)`: what `Head` computes, without a mask, (B, T, C) -> (B, T, hs)."""

    # Sizes and their roots are all different: what is divided by one is not taken for another.
    sizes = [((2, 3, 7), 5, 11), ((3, 7, 5), 2, 13), ((3, 1, 7), 5, 2)]
    cases = {
        f"x of shape {s}, hs = {hs}, block_size = {T}": (s, functools.partial(Head, s[-1], hs, T))
        for s, hs, T in sizes
    }
    same_as_module(answer, cases, _mistakes, "it should look no further than itself.")


@torch.no_grad()
def _mistakes(head: Head, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What a head with a mistake makes of x."""
    q, k, v = head.query(x), head.key(x), head.value(x)
    T, hs, C = x.shape[1], q.shape[2], x.shape[2]
    past = torch.ones(T, T).tril()
    raw = q @ k.mT
    scores = raw / hs**0.5

    def _soft(scores: torch.Tensor, seen: torch.Tensor = past) -> torch.Tensor:
        return scores.masked_fill(seen == 0, float("-inf")).softmax(dim=-1)

    shares = _soft(scores)
    return {
        "missing 1/√hs: the scores are not scaled.": _soft(raw) @ v,
        "the scores are divided by √C, the size of x: divide by √hs, the size of a query.":
            _soft(raw / C**0.5) @ v,
        "the scores are divided by hs: divide by its root.": _soft(raw / hs) @ v,
        "the scores are multiplied by √hs: divide.": _soft(raw * hs**0.5) @ v,
        "the scores at position t are divided by √(t + 1): divide by √hs, the size of a query.":
            _soft(raw / past.sum(dim=1, keepdim=True) ** 0.5) @ v,
        "s runs past t, over all positions: stop at t.": scores.softmax(dim=-1) @ v,
        "the softmax is taken over all positions, and the sum cut at t afterwards: take it over s "
        "= 0 … t alone, so that the shares sum to 1.": scores.softmax(dim=-1).tril() @ v,
        "a later position has the score 0, and so gets a share: leave it out of the softmax.":
            scores.tril().softmax(dim=-1) @ v,
        "position t does not look at itself: s runs from 0 to t, t included.":
            _soft(scores, past.tril(-1)).nan_to_num() @ v,
        "only one term is left of the sum over s: add them up.":
            shares.diagonal(dim1=1, dim2=2)[..., None] * v,
        "the sum over s is divided by t + 1: the shares sum to 1 already.":
            shares @ v / past.sum(dim=1, keepdim=True),
        "the value is that of position t itself: each s hands over its own.": v,
        "the value with the largest score is taken whole: each s hands over its share.":
            v.gather(1, shares.argmax(dim=-1)[..., None].expand_as(v)),
        "all positions up to t get an equal share: the scores have no say.":
            past / past.sum(dim=1, keepdim=True) @ v,
        "query and key are swapped: position t *asks*.": _soft(scores.mT) @ v,
        "queries are compared with queries: position s answers with its key.":
            _soft(q @ q.mT / hs**0.5) @ v,
        "keys are compared with keys: position t asks with its query.":
            _soft(k @ k.mT / hs**0.5) @ v,
        "the key is handed over, and not the value.": shares @ k,
        "the query is handed over, and not the value.": shares @ q,
        "every sequence has the scores of the first one.": shares[:1] @ v,
        "every sequence has the result of the first one.": (shares @ v)[:1].expand_as(v),
        "the softmax is missing: the scores themselves are the shares.": scores.tril() @ v,
        "the shares are e to the power of the scores: divide them by their sum.":
            scores.exp().tril() @ v,
        "the scores are divided by their sum: take e to the power of each first.":
            scores.tril() / scores.tril().sum(dim=-1, keepdim=True) @ v,
    }  # fmt: skip


@check
def scale_experiment(answer, text):
    """The table of one head with and without scale: scaled, factor, first_loss, val_loss."""
    settings = {"scaled": 3 * [True] + 3 * [False], "factor": 2 * [1, 4, 8]}
    rows = read_rows(answer, settings, ["first_loss", "val_loss"])
    bands = recorded(rows, "scale_experiment", text)
    fair(rows, "val_loss", text, "factor", "scaled")
    hurt = rows.val_loss[False, 8] - rows.val_loss[True, 8]
    if bands and hurt < -0.05:  # with a seed in a hundred it may be just below 0
        raise Mistake(
            f"At factor 8 the head with its scale ends {-hurt:.3f} higher than the one without: "
            "is the column `scaled` the wrong way round? `Head` is the one that divides by √hs."
        )

    def build_model(vocab_size: int, factor: int = 1) -> LanguageModel:
        head = Head(32, 32, 8)
        head.query.weight.data *= factor
        head.key.weight.data *= factor
        return LanguageModel(vocab_size, 32, 8, head)

    same = (begins(rows, n, text, functools.partial(build_model, factor=factor))
            for n, (_, factor) in enumerate(rows.index[:3]))  # fmt: skip
    if next(same) and not all(same):
        raise Mistake(
            "With factor 1 a run begins as it should, and with 4 or 8 it does not: are the weights "
            "of query and of key made larger, and no others, before the training?"
        )
    again = run_again(rows, 0, text, build_model, max_iters=1000, learning_rate=1e-3)
    return said(rows, bands, again)
