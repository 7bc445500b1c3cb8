"""Plumbing · small GPTs that differ in one part each, and a loop that trains any of them.

Shapes: N characters of a text, C channels (n_embd), V vocab_size.
"""

from dataclasses import dataclass, replace

from lessons.batches import get_batch
from lessons.feed_forward import FeedForward
from lessons.gpt import GPT
from lessons.language_model import LanguageModel
from lessons.modern.gated_mlp import GatedMLP, SquaredReLUMLP
from lessons.modern.grouped_query import GroupedQueryAttention
from lessons.modern.muon import Muon
from lessons.modern.rms_norm import RMSNorm
from lessons.modern.rotary import Rotary
from lessons.optimization import learning_rate_at, make_optimizer
from lessons.presets import PRESETS, TrainingConfig

import torch
import torch.nn as nn

# Preset `small` with twice the context.
SHAPE = replace(PRESETS["small"].shape, block_size=64)
TRAINING = TrainingConfig(batch_size=16, max_iters=2_000)
ADAM_RATE = 4e-3  # of what Muon does not take: the best for lesson 8's parts
NORMS = {"layer": nn.LayerNorm, "rms": RMSNorm}
# As many weights in each: a gated layer has three matrices, and so two thirds of the width.
MLPS = {
    "gelu": lambda C: FeedForward(C, nn.GELU),
    "gated": lambda C: GatedMLP(C, 8 * C // 3),
    "squared": lambda C: SquaredReLUMLP(C, 4 * C),
}


@dataclass(frozen=True)
class Parts:
    """What a small GPT is made of, and how it is trained; as it stands here it is lesson 8's."""

    positions: str = "learned"  # or "rotary", or "none"
    norm: str = "layer"  # or "rms"
    mlp: str = "gelu"  # or "gated", or "squared"
    qk_norm: bool = False
    n_group: int = SHAPE.n_head
    muon: bool = False
    times: int = 1  # how often the usual number of steps


class PartsBlock(nn.Module):
    """Lesson 7's pre-norm block with other parts, (B, T, C) -> (B, T, C)."""

    def __init__(self, parts: Parts, rotary: Rotary | None):
        super().__init__()
        C = SHAPE.n_embd
        self.ln_1, self.ln_2 = NORMS[parts.norm](C), NORMS[parts.norm](C)
        self.attn = GroupedQueryAttention(C, SHAPE.n_head, parts.n_group, rotary, parts.qk_norm)
        self.mlp = MLPS[parts.mlp](C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


def build(parts: Parts, vocab_size: int) -> LanguageModel:
    """A fresh model with these parts, its weights drawn as lesson 8 draws them."""
    C, T, n_layer = SHAPE.n_embd, SHAPE.block_size, SHAPE.n_layer
    if parts == Parts(muon=parts.muon, times=parts.times):
        return GPT(replace(SHAPE, vocab_size=vocab_size))
    rotary = Rotary(C // SHAPE.n_head, T) if parts.positions == "rotary" else None
    blocks = [PartsBlock(parts, rotary) for _ in range(n_layer)]
    model = LanguageModel(vocab_size, C, T, nn.Sequential(*blocks), NORMS[parts.norm](C))
    for name, p in model.named_parameters():
        if p.dim() == 2:
            into_stream = name.endswith(("proj.weight", "down.weight", "net.2.weight"))
            nn.init.normal_(p, std=(3 * C * (2 * n_layer if into_stream else 1)) ** -0.5)
        elif name.endswith("bias"):
            nn.init.zeros_(p)
    if parts.positions != "learned":
        nn.init.zeros_(model.position_embedding.weight).requires_grad_(False)
    return model


def optimizers_of(model: LanguageModel, parts: Parts, rate: float) -> list[tuple]:
    """The optimizers of a model, each with its highest rate; with Muon `rate` is Muon's."""
    if not parts.muon:
        return [(make_optimizer(model, replace(TRAINING, learning_rate=rate)), rate)]
    inside = [p for p in model.body.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if all(p is not matrix for matrix in inside)]
    adam = torch.optim.AdamW(rest, ADAM_RATE, betas=(0.9, TRAINING.beta2), fused=True)
    return [(Muon(inside, rate), rate), (adam, ADAM_RATE)]


def train_parts(
    model: LanguageModel, data: torch.Tensor, parts: Parts, rate: float, seed: int = 1337,
    max_iters: int = TRAINING.max_iters,
) -> None:  # fmt: skip
    """Train it in place as lesson 8 does: warm-up and cosine, clipped gradients."""
    config = replace(TRAINING, max_iters=max_iters * parts.times, learning_rate=1.0)
    optimizers, generator = optimizers_of(model, parts, rate), torch.Generator().manual_seed(seed)
    for step in range(config.max_iters):
        _, loss = model(*get_batch(data, config.batch_size, model.block_size, generator))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        for optimizer, highest in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = highest * learning_rate_at(step, config)
            optimizer.step()
            optimizer.zero_grad()
