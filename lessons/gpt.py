"""Lesson 8 · the GPT: a frozen shape, and the model that it describes.

Shapes: B batch, T time (positions), C channels (n_embd), nh heads, hs head size, V vocab_size.
"""

from dataclasses import dataclass

from lessons.errors import BadInput
from lessons.feed_forward import FeedForward
from lessons.fused_attention import causal_attention
from lessons.language_model import LanguageModel
from lessons.multi_head import head_size_for

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT, and nothing else; raises BadInput for a shape that cannot be."""

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    qkv_bias: bool = False  # GPT-2 has biases there
    tied: bool = False  # GPT-2's lm_head is its token embedding, which saves V x C weights

    def __post_init__(self):
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}: it must be at least 1.")
        head_size_for(self.n_embd, self.n_head)


class FusedSelfAttention(nn.Module):
    """Lesson 4's heads, their projection and dropout, (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig, dropout: float):
        super().__init__()
        C = config.n_embd
        self.n_head, self.dropout = config.n_head, dropout
        # One product instead of three: a GPU is kept busier by one large one.
        self.qkv = nn.Linear(C, 3 * C, bias=config.qkv_bias)
        self.proj = nn.Linear(C, C)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = rearrange(self.qkv(x), "b t (three nh hs) -> three b nh t hs",
                            three=3, nh=self.n_head)  # fmt: skip  # each (B, nh, T, hs)
        # On the shares: a position must not come to rely on a single other one.
        dropout = self.dropout if self.training else 0.0
        out = causal_attention(q, k, v, dropout)  # (B, nh, T, hs)
        out = self.proj(rearrange(out, "b nh t hs -> b t (nh hs)"))  # (B, T, C)
        return F.dropout(out, self.dropout, self.training)


class GPTBlock(nn.Module):
    """Lesson 7's pre-norm block with fused attention and GELU, (B, T, C) -> (B, T, C).

    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """

    def __init__(self, config: GPTConfig, dropout: float, activation: type[nn.Module] = nn.GELU):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.attn = FusedSelfAttention(config, dropout)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        # GPT-2's GELU in place of lesson 5's ReLU, at whose kink a rounding error can turn a
        # gradient on or off, so that one process and two soon train different models.
        self.mlp = FeedForward(config.n_embd, activation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class GPT(LanguageModel):
    """The frame of lesson 3 around a stack of blocks: (B, T) ids -> (B, T, V) logits.

    Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019.
    """

    def __init__(self, config: GPTConfig, dropout: float = 0.0):
        blocks = [GPTBlock(config, dropout) for _ in range(config.n_layer)]
        body = nn.Sequential(nn.Dropout(dropout), *blocks)
        final_norm = nn.LayerNorm(config.n_embd)
        super().__init__(config.vocab_size, config.n_embd, config.block_size, body, final_norm)
        self.config = config
        if config.tied:
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
            self.lm_head.weight = self.token_embedding.weight
        self.initialise()

    def initialise(self) -> None:
        """Biases 0, weights normal with a standard deviation of 1 / sqrt(3 C).

        That is what nn.Linear's own range of ± 1 / sqrt(C) has, and at C = 768 it is GPT-2's 0.02.
        """
        std = (3 * self.config.n_embd) ** -0.5
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        # 2 n_layer terms are added to the stream: its growth must not depend on their number.
        for block in self.body[1:]:  # the first is the dropout
            for into_stream in (block.attn.proj, block.mlp.net[-1]):
                nn.init.normal_(into_stream.weight, std=std / (2 * self.config.n_layer) ** 0.5)


def parameter_count(model: nn.Module) -> int:
    """How many numbers are trained; a tied matrix counts once."""
    return sum(p.numel() for p in model.parameters())


def flops_per_token(model: GPT) -> int:
    """Floating-point operations of a training step, per token (PaLM's appendix B, 2022).

    A weight is multiplied and added once forward and twice backward, which makes 2 x 3 = 6; the
    few biases and gains are counted like matrices. The position table is only looked up, and so
    is the token table, unless it is the lm_head as well. Attention has two more products, queries
    with keys and shares with values, each of C T for a token: 6 x 2 C T for each layer, including
    the masked half.
    """
    config = model.config
    looked_up = model.position_embedding.weight.numel()
    if not config.tied:
        looked_up += model.token_embedding.weight.numel()
    attention = 12 * config.n_layer * config.n_embd * config.block_size
    return 6 * (parameter_count(model) - looked_up) + attention
