"""Lesson 3 · the frame that every later rung shares; only its body changes.

Shapes: B batch, T time (positions), C channels (n_embd), V vocab_size.
"""

from lessons.errors import BadInput

import torch
import torch.nn as nn
import torch.nn.functional as F


class LanguageModel(nn.Module):
    """Embeddings -> body -> final norm, if any -> lm_head: (B, T) ids -> (B, T, V) logits."""

    def __init__(
        self,
        vocab_size: int,
        n_embd: int,
        block_size: int,
        body: nn.Module,
        final_norm: nn.Module | None = None,
    ):
        super().__init__()
        self.block_size = block_size
        self.token_embedding = nn.Embedding(vocab_size, n_embd)
        self.position_embedding = nn.Embedding(block_size, n_embd)
        # Two halves of variance 1/2 make a sum of variance 1, as the layers above expect.
        for embedding in (self.token_embedding, self.position_embedding):
            nn.init.normal_(embedding.weight, std=0.5**0.5)
        self.body = body  # (B, T, C) -> (B, T, C)
        self.ln_f = final_norm or nn.Identity()
        self.lm_head = nn.Linear(n_embd, vocab_size)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        T = idx.shape[1]
        if T > self.block_size:
            raise BadInput(f"{T} tokens do not fit a context of {self.block_size}: crop them.")
        # Who am I, plus where am I; the positions are the same for the whole batch.
        x = self.token_embedding(idx) + self.position_embedding.weight[:T]  # (B, T, C)
        logits = self.lm_head(self.ln_f(self.body(x)))  # (B, T, V)
        if targets is None:
            return logits, None
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss
