"""Plumbing · what the record puts into a modern GPT: token shift, dropout.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

from lessons.modern.model import ModernGPT

import torch
import torch.nn as nn
import torch.nn.functional as F


class TokenShift(nn.Module):
    """The second half of the channels one position later, no weights, (B, T, C) -> (B, T, C).

    The first position hears zeros there. Peng, RWKV-LM, 2021.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own, heard = x.chunk(2, dim=-1)  # (B, T, C/2) each
        return torch.cat((own, F.pad(heard, (0, 0, 1, 0))[:, :-1]), dim=-1)


def shift_tokens(gpt: ModernGPT) -> None:
    """Puts a token shift behind both norms of every block of `gpt`, which keeps its shapes."""
    for block in gpt.body:
        block.ln_1 = nn.Sequential(block.ln_1, TokenShift())
        block.ln_2 = nn.Sequential(block.ln_2, TokenShift())


def drop_out(gpt: ModernGPT, share: float) -> None:
    """Puts a dropout of `share` behind the embedding, and behind both layers of every block."""
    gpt.token_embedding = nn.Sequential(gpt.token_embedding, nn.Dropout(share))
    for block in gpt.body:
        block.attn = nn.Sequential(block.attn, nn.Dropout(share))
        block.mlp = nn.Sequential(block.mlp, nn.Dropout(share))
