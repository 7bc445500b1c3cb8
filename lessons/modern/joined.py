"""Lesson 10 · the join: a GPT that is told what counting says, and learns the rest.

Shapes: B batch, T time (positions), C channels (n_embd), V vocab_size, N characters of a text.
"""

from lessons.counting import CountModel
from lessons.errors import BadInput
from lessons.modern.model import ModernGPT
from lessons.modern.told import next_log_shares

import torch
import torch.nn as nn
import torch.nn.functional as F


class JoinedGPT(nn.Module):
    """A GPT beside a count model: (B, T) ids -> (B, T, V) logits.

    What counting says is a bias on the logits, so that an untrained network says the same; and it
    is an input, so that the network can learn when to believe it, and how far.
    """

    def __init__(self, gpt: ModernGPT, counts: CountModel):
        super().__init__()
        self.gpt, self.counts, self.block_size = gpt, counts, gpt.block_size
        self.told = nn.Linear(gpt.config.vocab_size, gpt.config.n_embd, bias=False)
        # The square roots of shares are a vector of length 1, so each channel hears them with a
        # variance of 1.
        nn.init.normal_(self.told.weight, std=1.0)
        # How far it believes counting is for each position to say; at first wholly, everywhere.
        self.trust = nn.Linear(gpt.config.n_embd, 1)
        nn.init.zeros_(self.trust.weight)
        nn.init.ones_(self.trust.bias)

    def forward(
        self, idx: torch.Tensor, targets: torch.Tensor | None = None,
        log_shares: torch.Tensor | None = None,
    ):  # fmt: skip
        if log_shares is None:
            log_shares, _ = self.counts(idx)  # (B, T, V)
        gpt = self.gpt
        # Square roots: a share of a hundredth must be visible beside one of a half.
        x = gpt.token_embedding(idx) + self.told((log_shares / 2).exp())  # (B, T, C)
        x = gpt.ln_f(gpt.body(x))
        logits = gpt.lm_head(x) + self.trust(x) * log_shares  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def cross_fitted(data: torch.Tensor, vocab_size: int, order: int, parts: int = 8) -> torch.Tensor:
    """What counting says after each character of the text that it is learned from, (N,) -> (N, V).

    Counts of a text know it too well: after a long context they foretell its own next character
    from that very place. So each part is told by counts of all the others.
    Raises BadInput if a part would be shorter than a context.
    """
    if len(data) < parts * order:
        raise BadInput(
            f"{len(data)} characters are too few for {parts} parts, each at least as long as a "
            f"context of {order}: take a longer text, fewer parts, or a lower order."
        )
    edges = torch.linspace(0, len(data), parts + 1).long().tolist()
    told = []
    for begin, end in zip(edges, edges[1:], strict=False):
        counts = CountModel(torch.cat((data[:begin], data[end:])), vocab_size, order)
        told.append(next_log_shares(counts, data[begin:end], data[:begin] if begin else None))
    return torch.cat(told)
