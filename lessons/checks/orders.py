"""Plumbing · the check of lesson 9's third exercise.

Shapes: N characters.
"""

from collections.abc import Callable

from lessons.checks.bands import ROUNDED, exact
from lessons.checks.compare import expect
from lessons.checks.tables import label, read_rows
from lessons.checks.verdict import check
from lessons.counting import CountModel, as_numbers, kneser_ney_discounts, log_shares
from lessons.evaluation import token_losses

import torch

LENGTHS, ORDERS = (10_000, 100_000, 1_000_000), (2, 4, 6, 8)
# Two ways to make the same mistake differ by what stands at the edge of a text.
SAME_MISTAKE = 0.005


@check
def order_experiment(answer, train_data, val_data, vocab_size):
    """The table of losses by length of the text and by order: n_chars, order, val_loss."""
    settings = [(n, order) for n in LENGTHS for order in ORDERS]
    lengths, orders = ([row[i] for row in settings] for i in (0, 1))
    rows = read_rows(answer, {"n_chars": lengths, "order": orders}, ["val_loss"])

    def table(loss: Callable, up_to: int = max(ORDERS)) -> torch.Tensor:
        """`loss(part, order)` of each row."""
        losses = [loss(train_data[:n], order) for n, order in settings if order <= up_to]
        return torch.tensor(losses, dtype=torch.double)

    def counted(part: torch.Tensor, order: int, kind: type = CountModel) -> float:
        model = kind(part, vocab_size, order)
        return -log_shares(model, val_data, train_data).mean().item()

    def asked(part: torch.Tensor, order: int, text: torch.Tensor, before: torch.Tensor) -> float:
        return -log_shares(CountModel(part, vocab_size, order), text, before).mean().item()

    def few(loss: Callable) -> Callable:
        """The rows of the lower orders, which are soon counted: a mistake shows in them too."""
        return lambda: table(loss, up_to=4)

    right = table(counted)
    exact(rows, right[:, None].numpy())
    low = [order <= 4 for order in orders]
    got = torch.tensor(rows.val_loss.values)
    apart = ((got - right).abs() > ROUNDED).nonzero().flatten().tolist()
    first = label(rows, apart[0]) if apart else "none"
    case = f"the losses, of which that of {first} is the first to differ"
    expect(got[low], right[low], case, {
        "each was counted on all of `train_data`: count in its first `n_chars` characters.":
            few(lambda part, order: counted(train_data, order)),
        "the last `n_chars` characters were counted, and not the first.":
            few(lambda part, order: counted(train_data[-len(part) :], order)),
        "this is the loss on the part that was counted, which it has memorised: measure on "
        "`val_data`.": few(lambda part, order: asked(part, order, part[order:], part)),
        "this is the loss on `train_data`, which holds the part that was counted: measure on "
        "`val_data`.": few(lambda part, order: asked(part, order, train_data[order:], train_data)),
        "`val_data` itself was counted, which is no test: count in `train_data`.":
            few(lambda part, order: counted(val_data[: len(part)], order)),
        "all of the text was counted, `val_data` too, which is no test: count in `train_data`.":
            few(lambda part, order: counted(torch.cat((train_data, val_data)), order)),
        "an order of n looks n characters back, and here it looks back one less.":
            few(lambda part, order: counted(part, order - 1)),
        "an order of n looks n characters back, and here it looks back one more.":
            few(lambda part, order: counted(part, order + 1)),
        "the shorter contexts have plain counts: a shorter run counts once for each character "
        "before it, as in `CountModel`.":
            few(lambda part, order: counted(part, order, PlainCounts)),
        "each window starts without a context, as in `token_losses`: `log_shares` looks back over "
        "its edge.": few(lambda part, order: token_losses(
            CountModel(part, vocab_size, order), val_data, order).mean().item()),
        "these are sums: a loss is the mean over all characters.":
            right[low] * len(val_data),
    }, atol=SAME_MISTAKE)  # fmt: skip
    expect(got, right, case, {
        "the first characters of `val_data` are left out: what stands `before` it is `train_data`.":
            lambda: table(lambda part, order: asked(part, order, val_data[order:], val_data)),
        "what stands `before` the validation text is the end of `train_data`, whichever part was "
        "counted.": lambda: table(lambda part, order: asked(part, order, val_data, part)),
    }, atol=ROUNDED)  # fmt: skip
    return "All twelve losses were counted again here, and are these."


class PlainCounts(CountModel):
    """The mistake of counting the shorter runs as the longest ones are counted."""

    def __init__(self, data: torch.Tensor, vocab_size: int, order: int):
        super().__init__(data, vocab_size, order)
        for n in range(order):
            runs = as_numbers(data.unfold(0, n + 1, 1), vocab_size)
            self.grams[n], self.counts[n] = runs.unique(return_counts=True)
            self.discounts[n] = kneser_ney_discounts(self.counts[n])
