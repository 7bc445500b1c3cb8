"""Plumbing · checks of lesson 5's exercises.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import itertools

from lessons.checks.again import run_again
from lessons.checks.bands import recorded, said
from lessons.checks.compare import as_tensor, call
from lessons.checks.plausible import fair, same_start
from lessons.checks.tables import label, read_rows
from lessons.checks.verdict import Mistake, check
from lessons.feed_forward import FeedForward
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention

import torch
import torch.nn as nn
import torch.nn.functional as F


@check
def relu_unit(answer):
    """`relu_unit()`: weights (3,) and bias; relu(w·x + b) is 1 for a and c without b, else 0."""
    got = call(answer, case="no input")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Mistake("Return two things: a list of three weights, and a bias.")
    weights, bias = (as_tensor(value, "no input").flatten() for value in got)
    if len(weights) != 3 or len(bias) != 1:
        n = f"{weights.numel()} and {bias.numel()}"
        raise Mistake(f"Three weights and one bias are needed, and there are {n} numbers.")
    if not (weights.isfinite().all() and bias.isfinite()):
        raise Mistake("A weight or the bias is NaN or infinite: take ordinary numbers.")
    # Fewest inputs first, so that the simplest failure is the one reported.
    for x in sorted(itertools.product((0, 1), repeat=3), key=sum):
        value = F.relu(weights @ torch.tensor(x, dtype=torch.double) + bias).item()
        if abs(value - (x == (1, 0, 1))) < 1e-6:
            continue
        said = f"For (a, b, c) = {x} the unit gives {value:.4g}"
        if x == (0, 0, 0):
            raise Mistake(f"{said}, and it should be off: the bias alone switches it on.")
        if x == (1, 0, 1):
            raise Mistake(f"{said}, and it should be exactly 1.")
        if x[1] == 1:
            raise Mistake(f"{said}, and it should be off: b must pull it down to 0 or below.")
        raise Mistake(f"{said}, and it should be off: a or c alone must not be enough.")


@check
def rate_experiment(answer, text):
    """The table of learning rates: activation, learning_rate, first_loss, val_loss, dead_units."""
    activations = 3 * ["ReLU"] + 3 * ["LeakyReLU"]
    settings = {"activation": activations, "learning_rate": 2 * [0.003, 0.03, 0.1]}
    rows = read_rows(answer, settings, ["first_loss", "val_loss", "dead_units"])
    bands = recorded(rows, "rate_experiment", text)
    for n, dead in enumerate(rows.dead_units):
        if dead != int(dead):
            raise Mistake(f"`dead_units` is {dead} for {label(rows, n)}: count units, not shares.")
        if not 0 <= dead <= 128:
            raise Mistake(f"`dead_units` is {dead:g} for {label(rows, n)}: there are 128 units.")
    fair(rows, "val_loss", text, "learning_rate", "activation")
    same_start(rows, "learning_rate")
    if bands and rows.dead_units["ReLU", 0.1] <= rows.dead_units["LeakyReLU", 0.1]:
        raise Mistake(
            "At learning rate 0.1 no more units die with ReLU than with LeakyReLU: are the names "
            "swapped, or were the units counted before the training?"
        )
    if bands and rows.dead_units["ReLU", 0.003] > rows.dead_units["ReLU", 0.1]:
        raise Mistake(
            "More units die at learning rate 0.003 than at 0.1: a dead unit is one that is on at "
            "*none* of the tokens, `share_on(...) == 0`."
        )

    def build_model(vocab_size: int) -> LanguageModel:
        layers = nn.Sequential(CausalSelfAttention(32, 4), FeedForward(32))
        return LanguageModel(vocab_size, 32, 8, layers)

    again = run_again(rows, 0, text, build_model, max_iters=500, learning_rate=0.003)
    return said(rows, bands, again)
