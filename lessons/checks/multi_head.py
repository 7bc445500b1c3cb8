"""Plumbing · checks of lesson 4's exercises.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, hs head size.
"""

import copy

from lessons.checks.bands import ROUNDED, exact
from lessons.checks.compare import call, expect, on_each
from lessons.checks.tables import read_rows
from lessons.checks.verdict import Mistake, check
from lessons.evaluation import full_loss

import torch


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
            "that is all the channels: they are divided among the heads.": C,
        })  # fmt: skip
        expect(got[1], 3 * C * C, f"{case}, the number of weights", {
            "that is one of the three matrices.": C * C,
            "that is two of the three matrices.": 2 * C * C,
            "that is four matrices: query, key and value are three.": 4 * C * C,
            "nh times too many: each head's three matrices are C by hs, not C by C.":
                3 * C * C * nh,
            "nh times too few: each head has three matrices of C by hs, and there are nh heads.":
                3 * C * hs,
            "that is one matrix of one head: there are three, and nh heads.": C * hs,
            "a bias is counted: these layers have none.": 3 * C * (C + 1),
        })  # fmt: skip
        try:
            channels = list(got[2])
        except TypeError:
            raise Mistake(
                f"For {case}: give the channels as a list, `list(range(first, end))`."
            ) from None
        expect(channels, list(range(C - hs, C)), f"{case}, the channels of the last head", {
            "channels are counted from 0, so the last one is C - 1.":
                list(range(C - hs + 1, C + 1)),
            "heads are counted from 0, so the last one is nh - 1: these channels do not exist.":
                list(range(C, C + hs)),
            "these are the first head's.": list(range(hs)),
            "these are the channels of the last head but one.": list(range(C - 2 * hs, C - hs)),
            "these are the channels of all heads.": list(range(C)),
            "only the first and the last are there: give all, `list(range(first, end))`.":
                [C - hs, C - 1],
            "only the first and the end are there: give all, `list(range(first, end))`.":
                [C - hs, C],
            "the first one is missing: the last head begins at C - hs.":
                list(range(C - hs + 1, C)),
            "there is one too many: the last head begins at C - hs.": list(range(C - hs - 1, C)),
            "the last one is missing: `range` ends before its end.": list(range(C - hs, C - 1)),
            "these are the last nh channels: a head has hs of them.": list(range(C - nh, C)),
            "a head's channels are side by side, and not nh apart.": list(range(nh - 1, C, nh)),
        })  # fmt: skip

    # The first sizes, their roots and the 3 of "three matrices" are all different.
    sizes = [(55, 5), (384, 6), (20, 4), (9, 1), (4, 2)]
    on_each({f"C = {C} and nh = {nh}": (C, nh) for C, nh in sizes}, look)


@check
def silencing_experiment(answer, model, data):
    """The table of a model without each head in turn: silenced ("none", 0 ... nh - 1), val_loss.

    `model` has a CausalSelfAttention as body, and is measured as it is now; `data` is what the
    losses were measured on, (N,).
    """
    nh = model.body.n_head
    silenced = ["none", *range(nh)]
    rows = read_rows(answer, {"silenced": silenced}, ["val_loss"])
    got = torch.tensor(rows.val_loss.values)

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
    if len(got.unique()) == 1 < len(right.unique()):
        raise Mistake("All rows are equal: nothing was silenced in the model that was measured.")
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
