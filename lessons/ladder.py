"""Plumbing · the rungs: what each one is, and how to run it.

Shapes: N tokens in a split.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.precision import pick_dtype
from lessons.attention import Head
from lessons.bigram import BigramLanguageModel
from lessons.dataset import encode_and_split
from lessons.errors import BadInput
from lessons.feed_forward import FeedForward
from lessons.gpt import GPT
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention
from lessons.normalization import PostNormBlock, PreNormBlock
from lessons.presets import PRESETS, Preset
from lessons.residual import ResidualBlock
from lessons.training import train

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

# Trains a model in place: (model, train_data (N,), val_data (N,), settings, seed, progress).
Trainer = Callable[..., pd.DataFrame]


class RungSettings(Protocol):
    """What the settings of a rung can do, whichever loop trains it: `Settings` and `Preset`."""

    @property
    def max_iters(self) -> int:
        """How many steps the rung is trained for."""

    def with_training(self, **changes) -> "RungSettings":
        """The same settings with other training hyperparameters, such as max_iters."""


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a rung that lesson 1's loop trains; most share the shape."""

    batch_size: int = 32
    block_size: int = 8
    n_embd: int = 32
    n_head: int = 4
    n_layer: int = 3
    learning_rate: float = 1e-3
    max_iters: int = 5000
    eval_interval: int = 500

    def with_training(self, **changes) -> "Settings":
        """The same settings with other training hyperparameters, such as max_iters."""
        return replace(self, **changes)


def train_plainly(
    model: nn.Module, train_data: torch.Tensor, val_data: torch.Tensor, settings: Settings,
    seed: int, progress: tqdm | None,
) -> pd.DataFrame:  # fmt: skip
    """Train with lesson 1's loop."""
    s = settings
    return train(model, train_data, val_data, batch_size=s.batch_size, block_size=s.block_size,
                 max_iters=s.max_iters, learning_rate=s.learning_rate,
                 eval_interval=s.eval_interval, seed=seed, progress=progress)  # fmt: skip


def train_scaled(
    model: nn.Module, train_data: torch.Tensor, val_data: torch.Tensor, preset: Preset,
    seed: int, progress: tqdm | None,
) -> pd.DataFrame:  # fmt: skip
    """Train with lesson 8's loop, in the number format that suits the device."""
    dtype = pick_dtype(next(model.parameters()).device, preset.shape.n_embd)
    return train_at_scale(model, train_data, val_data, preset.training, seed=seed, dtype=dtype,
                          progress=progress)  # fmt: skip


@dataclass(frozen=True)
class Rung:
    """One step of the ladder; `build(settings, vocab_size)` makes its untrained model."""

    number: int
    title: str  # its name in tables and figures
    lesson: int
    idea: str
    build: Callable[[RungSettings, int], nn.Module]
    published: float  # validation loss reported elsewhere
    settings: RungSettings = Settings()
    train: Trainer = train_plainly
    lowest_counts: bool = False  # its lowest validation loss is quoted, not its last

    @property
    def name(self) -> str:
        """Its name on the command line, such as single_head."""
        return self.title.lower().replace(" ", "_").replace("-", "_")

    @property
    def stem(self) -> str:
        """The name of its files, such as 02_single_head."""
        return f"{self.number:02d}_{self.name}"

    def shortened(self, **changes: int) -> "Rung":
        """The same rung with another max_iters or eval_interval."""
        return replace(self, settings=self.settings.with_training(**changes))


def build_bigram(s: Settings, vocab_size: int) -> nn.Module:
    return BigramLanguageModel(vocab_size)


def build_single_head(s: Settings, vocab_size: int) -> nn.Module:
    body = Head(s.n_embd, s.n_embd, s.block_size)
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body)


def build_multi_head(s: Settings, vocab_size: int) -> nn.Module:
    body = CausalSelfAttention(s.n_embd, s.n_head)
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body)


def build_feed_forward(s: Settings, vocab_size: int) -> nn.Module:
    body = nn.Sequential(CausalSelfAttention(s.n_embd, s.n_head), FeedForward(s.n_embd))
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body)


def build_residual(s: Settings, vocab_size: int) -> nn.Module:
    body = nn.Sequential(*(ResidualBlock(s.n_embd, s.n_head) for _ in range(s.n_layer)))
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body)


def build_post_norm(s: Settings, vocab_size: int) -> nn.Module:
    body = nn.Sequential(*(PostNormBlock(s.n_embd, s.n_head) for _ in range(s.n_layer)))
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body)


def build_pre_norm(s: Settings, vocab_size: int) -> nn.Module:
    body = nn.Sequential(*(PreNormBlock(s.n_embd, s.n_head) for _ in range(s.n_layer)))
    return LanguageModel(vocab_size, s.n_embd, s.block_size, body, nn.LayerNorm(s.n_embd))


def build_gpt(preset: Preset, vocab_size: int) -> nn.Module:
    return GPT(replace(preset.shape, vocab_size=vocab_size), preset.training.dropout)


RUNGS = (
    Rung(1, "bigram", 1, "guess from the last character alone", build_bigram, 2.47,
         Settings(learning_rate=1e-2, max_iters=3000)),
    Rung(2, "single head", 3, "look back, and choose what to look at", build_single_head, 2.45),
    Rung(3, "multi-head", 4, "look for several things at once", build_multi_head, 2.38),
    Rung(4, "feed-forward", 5, "think about what was gathered", build_feed_forward, 2.27),
    Rung(5, "residual", 6, "add instead of replace, and go deep", build_residual, 2.20),
    Rung(6, "post-norm", 7, "normalise after each step", build_post_norm, 2.06),
    Rung(7, "pre-norm", 7, "normalise before each step", build_pre_norm, 2.07),
    Rung(8, "small GPT", 8, "deeper, wider, further back, and trained with care", build_gpt, 1.8243,
         PRESETS["small"], train_scaled),
)  # fmt: skip
# Its seeds take hours on a CPU: helper_scripts/measure/gpu.py measures it. The published figure,
# from nanoGPT's README, is the lowest of its run too.
SCALED_UP = Rung(8, "scaled up", 8, "fifty times more weights, on a GPU", build_gpt, 1.4697,
                 PRESETS["gpu"], train_scaled, lowest_counts=True)  # fmt: skip
LADDER = (*RUNGS, SCALED_UP)


def find_rungs(names: list[str]) -> list[Rung]:
    """The rungs of these names, numbers or file stems, in ladder order; BadInput if unknown."""
    known = {key: r for r in RUNGS for key in (str(r.number), r.name, r.stem)}
    unknown = [name for name in names if name not in known]
    if unknown:
        ladder = ", ".join(f"{r.number} {r.name}" for r in RUNGS)
        raise BadInput(f"There is no rung {unknown[0]!r}: choose from {ladder}.")
    return sorted({known[name] for name in names}, key=lambda r: r.number)


def build_model(rung: Rung, vocab_size: int, seed: int) -> nn.Module:
    """The rung's untrained model; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return rung.build(rung.settings, vocab_size)


def run_rung(
    rung: Rung, text: str, seed: int, device: torch.device, progress: tqdm | None = None
) -> tuple[nn.Module, pd.DataFrame]:
    """Train one seed of a rung on `text`; returns the model and its losses (COLUMNS)."""
    train_data, val_data, tokenizer = encode_and_split(text)
    model = build_model(rung, tokenizer.vocab_size, seed).to(device)
    losses = rung.train(model, train_data, val_data, rung.settings, seed, progress)
    losses.insert(0, "seed", seed)
    return model, losses
