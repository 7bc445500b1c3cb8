"""Plumbing · checks of lesson 8's exercises."""

import math

from lessons.checks.bands import recorded, said
from lessons.checks.compare import call, expect, on_each
from lessons.checks.plausible import not_negative, told_apart
from lessons.checks.tables import label, read_rows
from lessons.checks.verdict import Mistake, check
from lessons.gpt import GPT, GPTConfig, parameter_count


@check
def gpt2_parameters(answer):
    """`gpt2_parameters(shape)`: the parameters of a tied GPT with biases, counted by hand."""

    def look(case: str, shape: GPTConfig) -> None:
        V, T, n_layer, C = shape.vocab_size, shape.block_size, shape.n_layer, shape.n_embd
        right = parameter_count(GPT(shape))
        expect(call(answer, shape, case=case), right, case, {
            "V x C too many: the lm_head is tied to the token embedding.": right + V * C,
            "V x C + V too many: the lm_head is tied to the token embedding, and has no bias.":
                right + V * C + V,
            "V too many: the lm_head has no bias.": right + V,
            "the positions' T x C are missing.": right - T * C,
            "the tokens' V x C are missing.": right - V * C,
            "the tables of tokens and positions, V x C and T x C, are missing.":
                right - (V + T) * C,
            "2C too few: there is one more norm at the end.": right - 2 * C,
            "4C a block too few: the two norms, or as many biases.": right - 4 * C * n_layer,
            "the two norms of each block and the one at the end are missing.":
                right - 4 * C * n_layer - 2 * C,
            "half of each norm is missing: it has a gain and a bias for each channel.":
                right - 2 * C * n_layer - C,
            "2C a block too few: a block has two norms, each with a gain and a bias.":
                right - 2 * C * n_layer,
            "C a block too few: the bias of a layer, or half a norm.": right - C * n_layer,
            "the biases of the linear layers, 9C a block, are missing.": right - 9 * C * n_layer,
            "3C a block too few, as many as the biases of query, key and value.":
                right - 3 * C * n_layer,
            "C x C a block too few: after the heads there is a projection.":
                right - C * C * n_layer,
            "T x T a block too many: the mask is not a parameter.": right + T * T * n_layer,
            "T x T too many: the mask is not a parameter.": right + T * T,
            "only one block is counted.": right - (12 * C * C + 13 * C) * (n_layer - 1),
            "one block too many is counted.": right + 12 * C * C + 13 * C,
        })  # fmt: skip

    # The first numbers are such that two mistakes do not add up to a third.
    shapes = [(57, 91, 5, 2, 16), (50, 64, 3, 2, 8), (65, 256, 6, 6, 96), (11, 1, 1, 1, 6),
              (2, 3, 1, 1, 4)]  # fmt: skip
    on_each({f"V = {s[0]:,}, T = {s[1]:,}, {s[2]} layers, C = {s[4]}":
             GPTConfig(*s, qkv_bias=True, tied=True) for s in shapes}, look)  # fmt: skip


@check
def weight_after(answer):
    """`weight_after(weight, steps, learning_rate, weight_decay)`: what AdamW's decay leaves."""

    def look(case: str, inputs: tuple) -> None:
        weight, steps, rate, decay = inputs
        left = weight
        for _ in range(steps):
            left -= rate * decay * left
        factor = 1 - rate * decay
        expect(call(answer, *inputs, case=case), left, case, {
            "each step takes its share of what is *left*: it is a power, and not a product.":
                weight * (1 - steps * rate * decay),
            "each step takes rate times decay, whatever is left: it takes that share of it.":
                weight - steps * rate * decay,
            "the learning rate is missing: a step shrinks the weight by rate times decay.":
                weight * (1 - decay) ** steps,
            "the decay is missing: a step shrinks the weight by rate times decay.":
                weight * (1 - rate) ** steps,
            "rate and decay are added: a step shrinks the weight by rate times decay.":
                weight * (1 - rate - decay) ** steps,
            "that is what is gone, not what is left.": weight - left,
            "the weight at the start is taken as 1.": left / weight,
            "the sign is lost.": abs(left),
            "the steps make it larger: the factor is 1 minus rate times decay.":
                weight * (1 + rate * decay) ** steps,
            "it is divided by 1 plus rate times decay: multiply by 1 minus that.":
                weight / (1 + rate * decay) ** steps,
            "the factor is rate times decay, which is what a step takes: 1 minus that is left.":
                weight * (rate * decay) ** steps,
            "the weight at the start is raised to a power too: only the factor is.":
                left * weight ** max(steps - 1, 0),
            "that is the limit of many tiny steps: here each step is a factor of 1 minus rate "
            "times decay.": weight * math.exp(-steps * rate * decay),
            "one step too few: there is a factor for each step.": left / factor,
            "one step too many: there is a factor for each step.": left * factor,
            "that is one step alone: there is a factor for each.": weight * factor,
        })  # fmt: skip

    # No number is another's root, square, double or complement.
    inputs = [(-3.0, 4, 0.35, 0.55), (1.7, 20, 0.1, 0.3), (3.0, 0, 0.1, 0.5), (8.0, 2, 0.5, 1.0)]
    on_each({f"weight {w:g}, {n} steps, rate {r:g}, decay {d:g}": (w, n, r, d)
             for w, n, r, d in inputs}, look)  # fmt: skip


@check
def rescue_experiment(answer, text):
    """The table of cures: dropout, weight_decay, n_chars, best_step, best_loss, last_loss."""
    settings = {
        "dropout": [0, 0.2, 0.4, 0, 0, 0],
        "weight_decay": [0.1, 0.1, 0.1, 1, 3, 0.1],
        "n_chars": 5 * [3_000] + [30_000],
    }
    rows = read_rows(answer, settings, ["best_step", "best_loss", "last_loss"])
    bands = recorded(rows, "rescue_experiment", text)
    not_negative(rows, "best_loss")
    above = (rows.best_loss - rows.last_loss).to_numpy()
    if above.max() > 1e-3:  # less is rounding: the last may be measured once more
        n = int(above.argmax())
        raise Mistake(f"{label(rows, n)}: the best loss is above the last: take the minimum.")
    if bands and (rows.best_step == 300).all():
        raise Mistake(
            "The best step is the last one in every row, as it is for the *training* loss: choose "
            "the best by `val_loss`."
        )
    if not rows.best_step.isin(range(0, 301, 30)).all():
        raise Mistake("A best step is one that was measured, every 30 steps: take it from `step`.")
    told_apart(rows, "last_loss", "dropout")
    told_apart(rows, "last_loss", "weight_decay")
    if bands:  # a text that is short, or repeats itself, makes these two rows the same
        told_apart(rows, "last_loss", "n_chars")
    if bands and rows.best_loss[0, 0.1, 30_000] > rows.best_loss[0, 0.1, 3_000]:
        raise Mistake(
            "Ten times as much text ends with a higher loss: are the two swapped, or are these "
            "training losses?"
        )
    if above[rows.best_step == 300].min(initial=0) < -1e-3:
        raise Mistake(
            "Where the best step is the last one, best and last are one and the same loss."
        )
    return said(rows, bands)
