"""Plumbing · the check of lesson 10's second exercise, heads that share keys and values.

Shapes: B batch, nh heads, ng groups, T time (positions), hs head size.
"""

from collections.abc import Callable

from lessons.checks.compare import call, expect, on_each
from lessons.checks.masks import WRONG_SHARES, soft
from lessons.checks.verdict import check

import torch


@check
def attend_in_groups(answer):
    """`attend_in_groups(q, k, v)`: (B, nh, T, hs) and two (B, ng, T, hs) -> (B, nh, T, hs)."""

    def look(case: str, sizes: tuple) -> None:
        B, nh, ng, T, hs = sizes
        generator = torch.Generator().manual_seed(nh)
        # Large enough that it matters by what scores are divided.
        q = 2 * torch.randn(B, nh, T, hs, generator=generator)
        k, v = 2 * torch.randn(2, B, ng, T, hs, generator=generator)
        expect(call(answer, q, k, v, case=case), attended(q, k, v), case, _mistakes(q, k, v))

    # Sizes and their roots are all different: what is divided by one is not taken for another.
    sizes = [(2, 6, 2, 5, 7), (1, 8, 4, 3, 10), (3, 3, 3, 4, 2), (2, 4, 1, 1, 5)]
    on_each({f"{s[1]} heads of {s[4]} in {s[2]} groups, B = {s[0]}, T = {s[3]}": s
             for s in sizes}, look)  # fmt: skip


def side_by_side(shared: torch.Tensor, nh: int) -> torch.Tensor:
    """What heads in groups share, a copy for each head, (B, ng, T, hs) -> (B, nh, T, hs)."""
    return shared.repeat_interleave(nh // shared.shape[1], dim=1)


def in_turn(shared: torch.Tensor, nh: int) -> torch.Tensor:
    """The mistake of dealing the groups out one after the other."""
    return shared.repeat(1, nh // shared.shape[1], 1, 1)


def attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None = None,
    weigh: Callable = soft, deal: Callable = side_by_side, deal_values: Callable | None = None,
) -> torch.Tensor:  # fmt: skip
    """Grouped attention written out; the later arguments are the ways to get it wrong."""
    nh = q.shape[1]
    k, v = deal(k, nh), (deal_values or deal)(v, nh)
    return weigh(q @ k.mT / (scale or q.shape[-1] ** 0.5)) @ v


def _mistakes(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> dict[str, Callable]:
    """What attention in groups with a mistake makes of these."""
    nh, ng, hs = q.shape[1], k.shape[1], q.shape[-1]

    def made(q=q, k=k, v=v, **how) -> Callable:
        """Computed only if it is needed."""
        return lambda: attended(q, k, v, **how)

    def first(x: torch.Tensor, nh: int) -> torch.Tensor:
        return side_by_side(x[:, :1], nh)

    def mean(x: torch.Tensor, nh: int) -> torch.Tensor:
        return side_by_side(x.mean(dim=1, keepdim=True), nh)

    def asked_together() -> torch.Tensor:
        together = q.unflatten(1, (ng, nh // ng)).mean(dim=2)
        return side_by_side(attended(together, k, v), nh)

    return {
        "the groups are dealt out in turn, to heads 0, 1, 2 …: the heads of a group are side by "
        "side, so each key is repeated in place.": made(deal=in_turn),
        "the keys are dealt out rightly and the values in turn: repeat both in place.":
            made(deal_values=in_turn),
        "the values are dealt out rightly and the keys in turn: repeat both in place.":
            made(deal=in_turn, deal_values=side_by_side),
        "all heads share the first group's keys and values.": made(deal=first),
        "all heads share the mean of all groups: each group has its own.": made(deal=mean),
        "the groups are dealt out from the last to the first.":
            made(k=k.flip(1), v=v.flip(1)),
        "the queries of a group are averaged: every head asks for itself.": asked_together,
        "missing 1/√hs: the scores are not scaled.": made(scale=1),
        "the scores are divided by hs: divide by its root.": made(scale=hs),
        "the scores are divided by √C, and C is nh times hs: a query has hs entries.":
            made(scale=(nh * hs) ** 0.5),
        "the scores are multiplied by √hs: divide.": made(scale=hs**-0.5),
        **{wrong: made(weigh=weigh) for wrong, weigh in WRONG_SHARES.items()},
        "query and key are exchanged: position t *asks*.":
            lambda: soft((side_by_side(k, nh) @ q.mT) / hs**0.5) @ side_by_side(v, nh),
        "the key is handed over, and not the value.": made(v=k),
        "the query is handed over, and not the value.":
            lambda: soft(q @ side_by_side(k, nh).mT / hs**0.5) @ q,
        "the value is that of position t itself: it takes from each position before it.":
            lambda: side_by_side(v, nh),
        "the heads of a group are added up, or only one of each is there: every head has its own "
        "result.": lambda: attended(q[:, :: nh // ng], k, v),
    }  # fmt: skip
