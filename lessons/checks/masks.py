"""Plumbing · shares of causal scores, and the ways to get them wrong, for all attention by heads.

Shapes: T time (positions).
"""

from collections.abc import Callable

import torch


def soft(
    scores: torch.Tensor, first_hidden: int = 1, hide: float = float("-inf"), dim: int = -1
) -> torch.Tensor:
    """The shares of causal scores (…, T, T); what lies `first_hidden` places later is hidden."""
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(first_hidden)
    return scores.masked_fill(later, hide).softmax(dim=dim)


# What is wrong -> the shares that it makes of scores.
WRONG_SHARES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "the mask is missing: every position sees what comes later.":
        lambda s: s.softmax(dim=-1),
    "the mask comes after the softmax, and so the shares no longer sum to 1: mask the scores, "
    "before it.": lambda s: s.softmax(dim=-1).tril(),
    "the mask sets scores to 0, and a softmax gives a share to 0 too: −∞ gets none.":
        lambda s: soft(s, hide=0.0),
    "the mask hides the past, and not what comes later.":
        lambda s: s.masked_fill(torch.ones_like(s).tril(-1) == 1, float("-inf")).softmax(dim=-1),
    "the mask hides position t from itself too, and leaves nothing in the first row: NaN.":
        lambda s: soft(s, first_hidden=0),
    "each column of shares sums to 1, but each row should: softmax over the wrong dimension.":
        lambda s: soft(s, dim=-2),
    "the softmax is missing: the scores themselves are the shares.":
        lambda s: s.tril(),
}  # fmt: skip
