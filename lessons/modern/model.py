"""Lesson 10 · a modern GPT: a frozen shape, and the model that it describes.

Shapes: B batch, T time (positions), C channels (n_embd), V vocab_size.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lessons.errors import BadInput
from lessons.modern.gated_mlp import GatedMLP
from lessons.modern.grouped_query import GroupedQueryAttention, heads_per_group
from lessons.modern.rms_norm import RMSNorm
from lessons.modern.rotary import Rotary
from lessons.multi_head import head_size_for

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class ModernConfig:
    """The shape of a modern GPT; raises BadInput for a shape that cannot be."""

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_group: int
    n_embd: int
    n_hidden: int
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5
    qk_norm: bool = False
    tied: bool = False

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_group", "n_embd",
                     "n_hidden"):  # fmt: skip
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}: it must be at least 1.")
        head_size_for(self.n_embd, self.n_head)
        heads_per_group(self.n_head, self.n_group)


class ModernBlock(nn.Module):
    """Lesson 7's pre-norm block made of today's parts, (B, T, C) -> (B, T, C)."""

    def __init__(self, config: ModernConfig, rotary: Rotary, mlp: Callable[[int, int], nn.Module]):
        super().__init__()
        self.ln_1 = RMSNorm(config.n_embd, config.norm_eps)
        self.attn = GroupedQueryAttention(
            config.n_embd, config.n_head, config.n_group, rotary, config.qk_norm
        )
        self.ln_2 = RMSNorm(config.n_embd, config.norm_eps)
        self.mlp = mlp(config.n_embd, config.n_hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class ModernGPT(nn.Module):
    """Llama's shape: (B, T) ids -> (B, T, V) logits. Touvron et al., LLaMA, 2023."""

    def __init__(self, config: ModernConfig, mlp: Callable[[int, int], nn.Module] = GatedMLP):
        super().__init__()
        self.config, self.block_size = config, config.block_size
        self.token_embedding = nn.Embedding(config.vocab_size, config.n_embd)
        rotary = Rotary(config.n_embd // config.n_head, config.block_size, config.rope_base)
        blocks = [ModernBlock(config, rotary, mlp) for _ in range(config.n_layer)]
        self.body = nn.Sequential(*blocks)
        self.ln_f = RMSNorm(config.n_embd, config.norm_eps)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied:
            self.lm_head.weight = self.token_embedding.weight
        self.initialise()

    def initialise(self) -> None:
        """All weights normal with a standard deviation of 1 / sqrt(3 C), as lesson 8's."""
        std = (3 * self.config.n_embd) ** -0.5
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        T = idx.shape[1]
        if T > self.block_size:
            raise BadInput(f"{T} tokens do not fit a context of {self.block_size}: crop them.")
        logits = self.lm_head(self.ln_f(self.body(self.token_embedding(idx))))  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())
