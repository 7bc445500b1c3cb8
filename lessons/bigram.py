"""Lesson 1 · the bigram: guess the next character from the last one alone.

Shapes: B batch, T time (positions), V vocab_size.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class BigramLanguageModel(nn.Module):
    """A table: row i holds the logits of what comes after character i, (B, T) -> (B, T, V)."""

    block_size = 1  # it looks at one character, however long the context

    def __init__(self, vocab_size: int):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, vocab_size)
        # Equal logits: an untrained model has no reason to prefer one character.
        nn.init.zeros_(self.token_embedding.weight)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        logits = self.token_embedding(idx)  # (B, T, V)
        if targets is None:
            return logits, None
        # cross_entropy wants one row per prediction, and there are B * T of them.
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss


def bigram_by_counting(
    data: torch.Tensor, vocab_size: int, smoothing: float = 1.0
) -> BigramLanguageModel:
    """The bigram without training: (N,) ids -> the model that counting pairs gives.

    With smoothing 0 no bigram has a lower loss on `data` (maximum likelihood), but a character
    that nothing follows has a row of NaN. Laplace's add-one smoothing keeps a pair that `data`
    lacks from being impossible.
    """
    pairs = data[:-1] * vocab_size + data[1:]  # one number per pair, (N - 1,)
    counts = torch.bincount(pairs, minlength=vocab_size**2).view(vocab_size, vocab_size)
    smoothed = counts + smoothing  # (V, V)
    probs = smoothed / smoothed.sum(dim=1, keepdim=True)  # each row sums to 1
    model = BigramLanguageModel(vocab_size)
    with torch.no_grad():
        model.token_embedding.weight.copy_(probs.log())
    return model
