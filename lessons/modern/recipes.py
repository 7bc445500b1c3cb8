"""Plumbing · the record's recipes: which shape is trained how, for how long.

A budget is a number of seconds; 0 stands for the STEPS of nanoGPT's recipe, of which ours take
nine tenths, since each takes a little longer. The clock runs from the first look at the text to the
last weights, counting included.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lessons.arguments import Range
from lessons.batches import get_batch, split
from lessons.corpus import load_text
from lessons.counting import CountModel
from lessons.dataset import encode_and_split
from lessons.evaluation import evaluation, full_loss
from lessons.gpt import GPT, parameter_count
from lessons.modern.extras import drop_out, shift_tokens
from lessons.modern.gated_mlp import SquaredReLUMLP
from lessons.modern.joined import JoinedGPT, cross_fitted
from lessons.modern.model import ModernConfig, ModernGPT
from lessons.modern.quick import quicken
from lessons.modern.told import joined_loss
from lessons.modern.training import ShortRun, start_from_nothing, train_short
from lessons.optimization import learning_rate_at
from lessons.presets import PRESETS

import torch
import torch.nn as nn

BUDGET = Range(0, 86_400)  # seconds
ORDER = 6  # of the counts
STEPS, OUR_PART = 2_000, 0.9
SHAPE = ModernConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_group=2, n_embd=128,
                     n_hidden=512, qk_norm=True)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A shape, how it is trained, and the share of a block's channels that is dropped meanwhile."""

    shape: ModernConfig
    run: ShortRun = ShortRun()
    dropout: float = 0.0


# Told what counting says, a model does as well with a less exact step of Muon, which is cheaper.
SHORT = {"plain": Recipe(SHAPE), "joined": Recipe(SHAPE, ShortRun(newton_schulz=2))}
LARGE = replace(SHAPE, block_size=128, n_layer=5, n_head=6, n_embd=192, n_hidden=768)
# Who knows the counts has less to learn: a longer context serves it better than more weights.
LONG = {"plain": Recipe(LARGE, dropout=0.15),
        "joined": Recipe(replace(SHAPE, block_size=128), dropout=0.1)}  # fmt: skip
LONG_FROM = 300  # seconds


def recipe_for(way: str, seconds: int) -> Recipe:
    """A larger shape or a longer context, and dropout, for whoever has long."""
    return (LONG if seconds >= LONG_FROM else SHORT)[way]


def new_gpt(recipe: Recipe, V: int) -> ModernGPT:
    """A modern GPT, ready to be trained against the clock."""
    gpt = ModernGPT(replace(recipe.shape, vocab_size=V), SquaredReLUMLP)
    start_from_nothing(gpt)
    quicken(gpt)
    if recipe.dropout:
        drop_out(gpt, recipe.dropout)
    return gpt


def plain(data: torch.Tensor, V: int, done: Callable, seed: int, seconds: int) -> tuple:
    """A modern GPT, trained: its loss as a function, its parameters, the steps it took."""
    recipe = recipe_for("plain", seconds)
    model = new_gpt(recipe, V)
    shift_tokens(model)
    steps = train_short(model, data, recipe.run, done, seed)
    return lambda val: full_loss(model, val, model.block_size, 128), parameter_count(model), steps


def joined(data: torch.Tensor, V: int, done: Callable, seed: int, seconds: int) -> tuple:
    """The same beside a count model, of which the network is told cross-fitted."""
    recipe = recipe_for("joined", seconds)
    told = cross_fitted(data, V, ORDER)
    model = JoinedGPT(new_gpt(recipe, V), CountModel(data, V, ORDER))
    steps = train_short(model, data, recipe.run, done, seed, told)
    return lambda val: joined_loss(model, val, data), parameter_count(model), steps


def nanogpt(data: torch.Tensor, V: int, done: Callable, seed: int, seconds: int) -> tuple:
    """nanoGPT's recipe for a CPU, from its README, in our own code; the last weights count.

    Four layers and heads, 128 channels, 12 sequences of 64, no dropout, float32, eager, AdamW in
    plain Python, gradients clipped; every 250 steps the loss of 20 batches of both splits.
    """
    shape, config = PRESETS["cpu"].shape, PRESETS["cpu"].training
    model, generator = GPT(replace(shape, vocab_size=V)), torch.Generator().manual_seed(seed)
    groups = [{"params": [p for p in model.parameters() if (p.dim() >= 2) == decays],
               "weight_decay": 0.1 * decays} for decays in (True, False)]  # fmt: skip
    adam, step = torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, 0.99)), 0
    while done(step) < 1:
        if step % 250 == 0:
            with evaluation(model):
                for _ in range(40):
                    model(*get_batch(data, 12, shape.block_size, generator))
        for group in adam.param_groups:
            group["lr"] = learning_rate_at(step, config)
        model(*get_batch(data, 12, shape.block_size, generator))[1].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad()
        step += 1
    return lambda val: full_loss(model, val, shape.block_size, 128), parameter_count(model), step


WAYS = {"nanogpt": nanogpt, "plain": plain, "joined": joined}


def run(way: str, seconds: int, seed: int, held_out: bool = False, steps: int = STEPS) -> dict:
    """Train one of WAYS within a budget: its steps, seconds, parameters, and loss.

    The loss is that of the last weights on the whole validation split; `held_out` measures on the
    last tenth of the training split instead, for whoever chooses settings.
    """
    start = time.perf_counter()
    data, val, tokenizer = encode_and_split(load_text())
    if held_out:
        data, val = split(data)

    if way != "nanogpt":
        steps = round(OUR_PART * steps)

    def done(step: int) -> float:
        return (time.perf_counter() - start) / seconds if seconds else step / steps

    torch.manual_seed(seed)
    loss, parameters, taken = WAYS[way](data, tokenizer.vocab_size, done, seed, seconds)
    used = time.perf_counter() - start
    return {"steps": taken, "seconds": used, "parameters": parameters, "val_loss": loss(val)}
