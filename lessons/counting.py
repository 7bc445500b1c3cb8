"""Lesson 9 · counting further: what followed the last few characters, Kneser-Ney smoothed.

Shapes: N contexts or characters, B batch, T time (positions), V vocab_size. A run of characters is
one whole number, the characters being its digits to base V.
"""

from lessons.errors import BadInput

import torch
import torch.nn as nn
import torch.nn.functional as F


def as_numbers(runs: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Runs of characters as whole numbers, (..., n) -> (...)."""
    places = vocab_size ** torch.arange(runs.shape[-1] - 1, -1, -1)  # (n,)
    return (runs * places).sum(dim=-1)


def kneser_ney_discounts(counts: torch.Tensor) -> torch.Tensor:
    """What to take from a count of 0, of 1, of 2, and of 3 or more, estimated from (N,), (4,).

    From how many counts are 1, 2, 3 and 4. Chen and Goodman, 1998, section 3.
    """
    n1, n2, n3, n4 = ((counts == k).sum().item() for k in (1, 2, 3, 4))
    if not n1 * n2 * n3:  # a text of a few words, or one in which everything is frequent
        return torch.tensor([0.0, 0.5, 0.5, 0.5])
    y = n1 / (n1 + 2 * n2)
    estimates = torch.tensor([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    # From a few counts they may come out absurd. Never 0 either: what is taken is all that a
    # character gets which was not seen here.
    return estimates.clamp(torch.tensor([0.0, 0.1, 0.1, 0.1]), torch.tensor([0.0, 1.0, 2.0, 3.0]))


class CountModel(nn.Module):
    """What came next after the last `order` characters, counted, (B, T) -> (B, T, V).

    Modified Kneser-Ney smoothing, interpolated: Chen and Goodman, An Empirical Study of Smoothing
    Techniques for Language Modeling, 1998. Raises BadInput for an order that the data or an int64
    cannot hold.
    """

    def __init__(self, data: torch.Tensor, vocab_size: int, order: int):
        super().__init__()
        if order < 1 or order >= len(data):
            raise BadInput(
                f"The order is {order}, and must be at least 1 and below the {len(data)} "
                "characters that are counted."
            )
        if vocab_size ** (order + 1) > torch.iinfo(torch.int64).max:
            raise BadInput(
                f"{order + 1} characters of {vocab_size} kinds do not fit into one whole number: "
                "choose a lower order."
            )
        self.vocab_size, self.order, self.block_size = vocab_size, order, order
        runs = as_numbers(data.unfold(0, order + 1, 1), vocab_size)
        grams, counts = runs.unique(return_counts=True)
        self.grams, self.counts, self.discounts = [], [], []  # by length of the context
        for n in range(order, -1, -1):
            self.grams.insert(0, grams)
            self.counts.insert(0, counts)
            self.discounts.insert(0, kneser_ney_discounts(counts))
            # A shorter run counts once for each character that it has been seen after.
            grams, counts = (grams % vocab_size**n).unique(return_counts=True)

    def shares(self, contexts: torch.Tensor, n: int) -> torch.Tensor:
        """Shares of the next character after contexts of n characters, (N,) -> (N, V)."""
        if n < 0:
            return torch.full((len(contexts), self.vocab_size), 1 / self.vocab_size)
        # Those of the contexts without their first character, each computed once.
        shorter, which = (contexts % self.vocab_size ** max(n - 1, 0)).unique(return_inverse=True)
        below = self.shares(shorter, n - 1)[which]
        seen, taken = self.discounted(contexts, n)
        return seen + taken[:, None] * below

    def discounted(self, contexts: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Shares of what was seen after contexts of n characters, (N, V), and what is left, (N,).

        Of a context that was never seen nothing is there, and all is left.
        """
        V, grams, counts = self.vocab_size, self.grams[n], self.counts[n]
        # Sorted, the runs that begin with a context lie side by side.
        first, end = torch.searchsorted(grams, torch.stack((contexts * V, (contexts + 1) * V)))
        row = torch.arange(len(contexts)).repeat_interleave(end - first)
        start_of_row = (end - first).cumsum(0) - (end - first)
        place = first[row] + torch.arange(len(row)) - start_of_row[row]
        count = counts[place].float()
        taken = self.discounts[n][counts[place].clamp(max=3)]
        total, lost = torch.zeros(2, len(contexts))
        total.index_add_(0, row, count)
        lost.index_add_(0, row, taken)
        seen = torch.zeros(len(contexts), V)
        seen[row, grams[place] % V] = (count - taken) / total[row]
        return seen, torch.where(total > 0, lost / total, 1)

    def forward(self, idx: torch.Tensor, targets: torch.Tensor | None = None):
        V, shares = self.vocab_size, []
        for t in range(1, idx.shape[1] + 1):
            n = min(t, self.order)
            shares.append(self.shares(as_numbers(idx[:, t - n : t], V), n))  # (B, V)
        logits = torch.stack(shares, dim=1).log()  # (B, T, V)
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def log_shares(model: CountModel, data: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The logarithm of each character's share, given all text before it, (N,) -> (N,).

    `before` is what stands before `data`, at least `model.order` characters.
    """
    n, V = model.order, model.vocab_size
    if len(before) < n:
        raise BadInput(f"A context of {n} characters needs as many before the text: {len(before)}.")
    whole = torch.cat((before[-n:], data))
    contexts = as_numbers(whole[:-1].unfold(0, n, 1), V)  # (N,)
    distinct, which = contexts.unique(return_inverse=True)
    return model.shares(distinct, n)[which, data].log()
