"""Plumbing · the rungs: what each one is, and how to run it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import pandas as pd
import torch
import torch.nn as nn
from tqdm import tqdm

from lessons.attention import Head
from lessons.batches import split
from lessons.bigram import BigramLanguageModel
from lessons.errors import BadInput
from lessons.feed_forward import FeedForward
from lessons.gpt import GPT
from lessons.language_model import LanguageModel
from lessons.losses import final_losses, lowest_losses
from lessons.multi_head import CausalSelfAttention
from lessons.normalization import PostNormBlock, PreNormBlock
from lessons.precision import pick_dtype
from lessons.presets import PRESETS, Preset
from lessons.residual import ResidualBlock
from lessons.scaling import train_at_scale
from lessons.tokenizer import CharTokenizer
from lessons.training import train


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a rung; the shape is shared by all of them."""

    batch_size: int = 32
    block_size: int = 8
    n_embd: int = 32
    n_head: int = 4
    n_layer: int = 3
    learning_rate: float = 1e-3
    max_iters: int = 5000
    eval_interval: int = 500


@dataclass(frozen=True)
class Rung:
    """One step of the ladder; `build(settings, vocab_size)` makes its untrained model."""

    number: int
    title: str  # its name in tables and figures
    lesson: int
    idea: str
    build: Callable[[Settings | Preset, int], nn.Module]
    published: float  # validation loss, reported elsewhere
    settings: Settings | Preset = Settings()  # a Preset is trained at scale
    lowest_counts: bool = False  # and not the last of its validation losses

    @property
    def name(self) -> str:
        """Its name on the command line, such as single_head."""
        return self.title.lower().replace(" ", "_").replace("-", "_")

    @property
    def stem(self) -> str:
        """The name of its files, such as 02_single_head."""
        return f"{self.number:02d}_{self.name}"

    @property
    def max_iters(self) -> int:
        """How many steps it is trained for."""
        return getattr(self.settings, "training", self.settings).max_iters

    def shortened(self, **changes: int) -> "Rung":
        """The same rung with another max_iters or eval_interval."""
        if isinstance(self.settings, Settings):
            return replace(self, settings=replace(self.settings, **changes))
        training = replace(self.settings.training, **changes)
        return replace(self, settings=replace(self.settings, training=training))


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
         PRESETS["small"]),
)  # fmt: skip
# Its seeds take hours on a CPU: helper_scripts/measure_gpu.py measures it. The published figure,
# of nanoGPT's README, is a lowest one too.
SCALED_UP = Rung(8, "scaled up", 8, "fifty times more weights, on a GPU", build_gpt, 1.4697,
                 PRESETS["gpu"], lowest_counts=True)  # fmt: skip
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
    tokenizer = CharTokenizer(text)
    s, splits = rung.settings, split(torch.tensor(tokenizer.encode(text)))
    model = build_model(rung, tokenizer.vocab_size, seed).to(device)
    if isinstance(s, Preset):
        dtype = pick_dtype(device, s.shape.n_embd)
        losses = train_at_scale(model, *splits, s.training, seed=seed, dtype=dtype,
                                progress=progress)  # fmt: skip
    else:
        losses = train(model, *splits, batch_size=s.batch_size, block_size=s.block_size,
                       max_iters=s.max_iters, learning_rate=s.learning_rate,
                       eval_interval=s.eval_interval, seed=seed, progress=progress)  # fmt: skip
    losses.insert(0, "seed", seed)
    return model, losses


def in_order(stems: Iterable[str]) -> list[str]:
    """Names of loss files, each once: those of the ladder from bottom to top, then others."""
    places = {rung.stem: place for place, rung in enumerate(LADDER)}
    return sorted(set(stems), key=lambda stem: (places.get(stem, len(places)), stem))


def summary(losses: pd.DataFrame) -> pd.DataFrame:
    """One row per rung of `read_losses`: seeds, val_loss, its sd, published, seconds.

    val_loss is the mean over the seeds of their last one, or where it counts of the lowest;
    seconds is the median; sd is NaN for a single seed.
    """
    lowest = losses.rung.isin([rung.stem for rung in LADDER if rung.lowest_counts])
    counted = pd.concat([final_losses(losses[~lowest]), lowest_losses(losses[lowest])])
    # size and skipna: a seed that diverged must show, not drop out of the mean.
    table = counted.groupby("rung").val_loss.agg(
        seeds="size", val_loss=lambda x: x.mean(skipna=False), sd=lambda x: x.std(skipna=False)
    )
    table["published"] = table.index.map({r.stem: r.published for r in LADDER})
    table["seconds"] = final_losses(losses).groupby("rung").seconds.median()
    return table.loc[in_order(table.index)]
