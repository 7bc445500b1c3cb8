"""Plumbing · checks of lesson 4's exercises.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, hs head size.
"""

import copy

from lessons.checks.bands import ROUNDED, exact
from lessons.checks.compare import call, expect, leak, on_each
from lessons.checks.tables import rows_of
from lessons.checks.verdict import Mistake, check
from lessons.evaluation import full_loss
from lessons.multi_head import CausalSelfAttention

import torch
from einops import rearrange


@check
def head_sizes(answer):
    """`head_sizes(n_embd, n_head)`: hs, weights of the three matrices, last head's channels."""

    def look(case: str, sizes: tuple) -> None:
        C, nh = sizes
        hs = C // nh
        got = call(answer, C, nh, case=case)
        if not isinstance(got, tuple | list) or len(got) != 3:
            raise Mistake(f"For {case}: return three things, (hs, number of weights, channels).")
        expect(got[0], hs, f"{case}, the head size", {
            "that is the number of heads: the channels are divided among them.": nh,
        })  # fmt: skip
        expect(got[1], 3 * C * C, f"{case}, the number of weights", {
            "that is one of the three matrices.": C * C,
            "nh times too many: each head's three matrices are C by hs, not C by C.":
                3 * C * C * nh,
            "nh times too few: each head has three matrices of C by hs, and there are nh heads.":
                3 * C * hs,
            "a bias is counted: these layers have none.": 3 * C * (C + 1),
        })  # fmt: skip
        expect(list(got[2]), list(range(C - hs, C)), f"{case}, the channels of the last head", {
            "channels are counted from 0, so the last one is C - 1.":
                list(range(C - hs + 1, C + 1)),
            "these are the first head's.": list(range(hs)),
            "only the first and the last are there: give all, `list(range(first, end))`.":
                [C - hs, C - 1],
            "the last one is missing: `range` ends before its end.": list(range(C - hs, C - 1)),
        })  # fmt: skip

    on_each({f"C = {C} and nh = {nh}": (C, nh) for C, nh in ((6, 2), (384, 6), (20, 4))}, look)


def _by_hand(module, x, split="b t (nh hs) -> b nh t hs", join="b nh t hs -> b t (nh hs)",
             scale=None, first_hidden=1, dim=-1) -> torch.Tensor:  # fmt: skip
    """CausalSelfAttention written out; the arguments are the ways to get it wrong."""
    q, k, v = (rearrange(linear(x), split, nh=module.n_head)
               for linear in (module.query, module.key, module.value))  # fmt: skip
    scores = q @ k.transpose(-2, -1) / (scale or q.shape[-1] ** 0.5)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(first_hidden)
    scores = scores.masked_fill(later, float("-inf"))
    return rearrange(scores.softmax(dim=dim) @ v, join, nh=module.n_head).detach()


def _viewed(module, x, back=True) -> torch.Tensor:
    """What a view straight to (B, nh, T, hs) makes: positions and channels mixed up."""
    B, T, C = x.shape
    q, k, v = (linear(x).reshape(B, module.n_head, T, -1)
               for linear in (module.query, module.key, module.value))  # fmt: skip
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return (out.transpose(1, 2) if back else out).reshape(B, T, C).detach()


@check
def attention_without_einops(answer):
    """`attention_without_einops(module, x)`: CausalSelfAttention, (B, T, C) -> (B, T, C)."""

    def look(case: str, sizes: tuple) -> None:
        (B, T, C), nh = sizes
        generator = torch.Generator().manual_seed(T)
        module = CausalSelfAttention(C, nh)
        for p in module.parameters():  # large enough that each mistake shows
            p.data = torch.randn(p.shape, generator=generator)
        x = torch.randn(B, T, C, generator=generator)
        got = call(answer, module, x, case=case)
        mistakes = {
            "view straight to (B, nh, T, hs) mixes up positions and channels: view to "
            "(B, T, nh, hs) first, then transpose.": lambda: _viewed(module, x),
            "view straight to (B, nh, T, hs), and straight back, mixes up positions and channels: "
            "transpose both times.": lambda: _viewed(module, x, back=False),
            "the mask hides position t from itself too, and leaves nothing in the first row: NaN.":
                lambda: _by_hand(module, x, first_hidden=0),
            "missing 1/√hs: the scores are not scaled.": lambda: _by_hand(module, x, scale=1),
            "the scores are divided by √C: a query of a head has hs entries.":
                lambda: _by_hand(module, x, scale=C**0.5),
            "each column of weights sums to 1, but each row should: softmax over the wrong "
            "dimension.": lambda: _by_hand(module, x, dim=-2),
            "the heads are cut as (hs nh): a head's channels are side by side, (nh hs).":
                lambda: _by_hand(module, x, "b t (hs nh) -> b nh t hs"),
            "on the way back the heads are not side by side: transpose to (B, T, nh, hs) before "
            "the reshape.": lambda: _by_hand(module, x, join="b nh t hs -> b (nh t hs)")
                .view(B, T, C),
        }  # fmt: skip
        try:
            expect(got, module(x), case, mistakes)
        except Mistake as mistake:
            if not mistake.known:
                leak(lambda value: call(answer, module, value, case=case), x, case,
                     "the mask lets the future in.")  # fmt: skip
            raise

    sizes = [((1, 2, 4), 2), ((2, 8, 6), 3), ((3, 5, 8), 2)]
    on_each({f"x of shape {shape} and nh = {nh}": (shape, nh) for shape, nh in sizes}, look)


@check
def silencing_experiment(answer, model, data):
    """The table of a model without each head in turn: silenced ("none", 0 ... nh - 1), val_loss.

    `model` has a CausalSelfAttention as body, and is measured as it is now; `data` is what the
    losses were measured on, (N,).
    """
    nh = model.body.n_head
    silenced = ["none", *range(nh)]
    rows = rows_of(answer, {"silenced": silenced}, ["val_loss"])
    got = torch.tensor(rows.val_loss.values)
    if torch.unique(got).numel() == 1:
        raise Mistake("All rows are equal: nothing was silenced in the model that was measured.")

    def losses(name="value", rows=True, keep=False) -> torch.Tensor:
        broken, hs = copy.deepcopy(model), model.body.value.out_features // nh
        found = [full_loss(broken, data, model.block_size)]
        weight = getattr(broken.body, name).weight.data
        whole = weight.clone()
        for h in range(nh):
            (weight if rows else weight.T)[h * hs : (h + 1) * hs] = 0
            found.append(full_loss(broken, data, model.block_size))
            if not keep:
                weight.copy_(whole)
        return torch.tensor(found)

    if any(not linear.weight.any(dim=1).all() for linear in model.body.children()):
        raise Mistake(
            "The model itself has silenced rows now: put the weights back after each row, and "
            "train again, or run the cell that trains it."
        )
    right = losses()
    exact(rows, right[:, None].numpy())
    expect(got, right, "the losses on `some_val`", {
        "each row adds one more silenced head to those before it: put the weights back first.":
            lambda: losses(keep=True),
        "the query's rows are zero, which makes a head average instead of silencing it: take "
        "those of `value`.": lambda: losses("query"),
        "the columns of `value` are zero: they are what comes in, the rows are what goes out.":
            lambda: losses(rows=False),
    }, atol=ROUNDED)  # fmt: skip
    return (
        f"All {nh + 1} losses were measured again here with this model, and are these. Not looked "
        "at: how it was trained, and whether another seed makes the same head matter most."
    )
