"""Plumbing · the check of lesson 4's second exercise, attention by view and transpose.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, hs head size.
"""

import functools

from lessons.checks.masks import WRONG_SHARES, soft
from lessons.checks.modules import same_as_module
from lessons.checks.verdict import check
from lessons.multi_head import CausalSelfAttention

import torch
from einops import rearrange

CUT, JOIN = "b t (nh hs) -> b nh t hs", "b nh t hs -> b t (nh hs)"


def _by_hand(module, x, cut=CUT, join=JOIN, scale=None, weigh=None, ask="query", answer="key",
             hand="value") -> torch.Tensor:  # fmt: skip
    """CausalSelfAttention written out; the arguments are the ways to get it wrong."""
    q, k, v = (rearrange(getattr(module, name)(x), cut, nh=module.n_head)
               for name in (ask, answer, hand))  # fmt: skip
    scores = q @ k.mT / (scale or q.shape[-1] ** 0.5)
    shares = (weigh or soft)(scores)
    return rearrange(shares @ v, join, nh=module.n_head).reshape(x.shape).detach()


def _viewed(module, x, join=JOIN) -> torch.Tensor:
    """What a view straight to (B, nh, T, hs) makes: positions and channels mixed up."""
    B, T, _ = x.shape
    q, k, v = (linear(x).reshape(B, module.n_head, T, -1)
               for linear in (module.query, module.key, module.value))  # fmt: skip
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return rearrange(out, join).reshape(x.shape).detach()


def _one_head(module, x, hs: int) -> torch.Tensor:
    q, k, v = module.query(x), module.key(x), module.value(x)
    return (soft(q @ k.mT / hs**0.5) @ v).detach()


@check
def attention_without_einops(answer):
    """`attention_without_einops(module, x)`: CausalSelfAttention, (B, T, C) -> (B, T, C)."""

    # Sizes and their roots are all different: what is divided by one is not taken for another.
    sizes = [((2, 7, 15), 3), ((3, 7, 10), 2), ((7, 1, 15), 5)]
    cases = {
        f"x of shape {shape} and nh = {nh}": (
            shape,
            functools.partial(CausalSelfAttention, shape[-1], nh),
        )
        for shape, nh in sizes
    }
    same_as_module(answer, cases, _mistakes, "what comes later has a say in it.")


def _mistakes(module: CausalSelfAttention, x: torch.Tensor) -> dict[str, object]:
    """What attention with a mistake makes of x."""
    C, nh = x.shape[-1], module.n_head
    hs = C // nh

    def made(*args, **how):
        """Computed only if it is needed."""

        return lambda: _by_hand(module, x, *args, **how)

    return {
        "view straight to (B, nh, T, hs) mixes up positions and channels: view to (B, T, nh, hs) "
        "first, then transpose.": lambda: _viewed(module, x),
        "view straight to (B, nh, T, hs), and straight back, mixes up positions and channels: "
        "transpose both times.": lambda: _viewed(module, x, "b nh t hs -> b (nh t hs)"),
        "the heads of one position look at each other: transpose to (B, nh, T, hs), so that "
        "positions do.": made("b t (nh hs) -> b t nh hs", "b t nh hs -> b t (nh hs)"),
        "the heads are cut as (hs nh): a head's channels are side by side, (nh hs).":
            made("b t (hs nh) -> b nh t hs"),
        "the heads are cut and joined as (hs nh): a head's channels are side by side, (nh hs).":
            made("b t (hs nh) -> b nh t hs", "b nh t hs -> b t (hs nh)"),
        "the heads are joined as (hs nh): a head's channels are side by side, (nh hs).":
            made(join="b nh t hs -> b t (hs nh)"),
        "on the way back the heads are not side by side: transpose to (B, T, nh, hs) before the "
        "reshape.": made(join="b nh t hs -> b (nh t hs)"),
        "all channels are one head: cut them into nh heads.": lambda: _one_head(module, x, C),
        "all channels are one head, though with the scale of hs: cut them into nh heads.":
            lambda: _one_head(module, x, hs),
        "missing 1/√hs: the scores are not scaled.": made(scale=1),
        "the scores are divided by √C: a query of a head has hs entries.": made(scale=C**0.5),
        "the scores are divided by hs: divide by its root.": made(scale=hs),
        "the scores are divided by √nh: a query of a head has hs entries.": made(scale=nh**0.5),
        "the scores are multiplied by √hs: divide.": made(scale=hs**-0.5),
        "the scale comes after the softmax: scale the scores, before it.":
            made(scale=1, weigh=lambda s: soft(s) / hs**0.5),
        **{wrong: made(weigh=weigh) for wrong, weigh in WRONG_SHARES.items()},
        "the mask hides position t from itself too.":
            made(weigh=lambda s: soft(s, first_hidden=0, hide=-1e9)),
        "the shares of the nh heads sum to 1, but those of each row should: softmax over the "
        "wrong dimension.": made(weigh=lambda s: soft(s, dim=1)),
        "the shares are e to the power of the scores: divide each row by its sum.":
            made(weigh=lambda s: s.exp().tril()),
        "query and key are swapped: position t *asks*.": made(ask="key", answer="query"),
        "the key is handed over, and not the value.": made(hand="key"),
        "the value is that of position t itself: it takes from each position before it.":
            module.value(x),
    }  # fmt: skip
