"""Plumbing · the join: a GPT that is told what counting says, and learns the rest.

Shapes: B batch, T time (positions), C channels (n_embd), V vocab_size, N characters of a text.
"""

from lessons.counting import CountModel, as_numbers
from lessons.evaluation import evaluation, windows
from lessons.modern.model import ModernGPT

import torch
import torch.nn as nn
import torch.nn.functional as F


class JoinedGPT(nn.Module):
    """A GPT beside a count model: (B, T) ids -> (B, T, V) logits.

    What counting says is a bias on the logits, so that an untrained network says the same; and it
    is an input, so that the network can learn when not to believe it.
    """

    def __init__(self, gpt: ModernGPT, counts: CountModel):
        super().__init__()
        self.gpt, self.counts, self.block_size = gpt, counts, gpt.block_size
        self.told = nn.Linear(gpt.config.vocab_size, gpt.config.n_embd, bias=False)
        # The square roots of shares are a vector of length 1, so each channel hears them with a
        # variance of 1.
        nn.init.normal_(self.told.weight, std=1.0)
        self.trust = nn.Parameter(torch.ones(()))  # a factor on what counting says

    def forward(
        self, idx: torch.Tensor, targets: torch.Tensor | None = None,
        log_shares: torch.Tensor | None = None,
    ):  # fmt: skip
        if log_shares is None:
            log_shares, _ = self.counts(idx)  # (B, T, V)
        gpt = self.gpt
        # Square roots: a share of a hundredth must be visible beside one of a half.
        x = gpt.token_embedding(idx) + self.told((log_shares / 2).exp())  # (B, T, C)
        logits = gpt.lm_head(gpt.ln_f(gpt.body(x))) + self.trust * log_shares  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def next_log_shares(
    model: CountModel, data: torch.Tensor, before: torch.Tensor | None = None
) -> torch.Tensor:
    """What counting says after each character of `data`, given all before it, (N,) -> (N, V).

    `before` is what stands before `data`; at the beginning of a text contexts are shorter.
    """
    n, V = model.order, model.vocab_size
    whole = data if before is None else torch.cat((before[len(before) - n + 1 :], data))
    first = [model.shares(as_numbers(whole[None, :k], V), k) for k in range(1, n)]
    contexts, which = as_numbers(whole.unfold(0, n, 1), V).unique(return_inverse=True)
    return torch.cat((*first, model.shares(contexts, n)[which])).log()[-len(data) :]


def cross_fitted(data: torch.Tensor, vocab_size: int, order: int, parts: int = 8) -> torch.Tensor:
    """What counting says after each character of the text that it is learned from, (N,) -> (N, V).

    Counts of a text know it too well: after a long context they foretell its own next character
    from that very place. So each part is told by counts of all the others.
    """
    edges = torch.linspace(0, len(data), parts + 1).long().tolist()
    told = []
    for begin, end in zip(edges, edges[1:], strict=False):
        counts = CountModel(torch.cat((data[:begin], data[end:])), vocab_size, order)
        told.append(next_log_shares(counts, data[begin:end], data[:begin] if begin else None))
    return torch.cat(told)


def joined_loss(model: JoinedGPT, data: torch.Tensor, before: torch.Tensor) -> float:
    """`full_loss` of a joined model, whose counting looks back over the edges of the windows."""
    T, V = model.block_size, model.counts.vocab_size
    inputs, targets = windows(data, T)
    told = next_log_shares(model.counts, data[:-1], before)
    told = F.pad(told, (0, 0, 0, inputs.numel() - len(told))).view(-1, T, V)
    total, batches = 0.0, zip(inputs.split(256), targets.split(256), told.split(256), strict=True)
    with evaluation(model):
        for xb, yb, log_shares in batches:
            total += model(xb, yb, log_shares)[1].item() * (yb != -100).sum().item()
    return total / (len(data) - 1)
