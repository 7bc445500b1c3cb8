"""Plumbing · checks of lesson 1's exercises.

Shapes: N tokens, V vocab_size.
"""

from lessons.bigram import BigramLanguageModel
from lessons.checks.bands import ROUNDED, exact
from lessons.checks.compare import as_tensor, call, close, expect, on_each
from lessons.checks.tables import read_rows
from lessons.checks.verdict import Mistake, check

import torch


@check
def perplexity(answer):
    """`perplexity(model, data)`: e to the power of the mean loss over all of data."""

    def look(case: str, sizes: tuple) -> None:
        V, N = sizes
        generator = torch.Generator().manual_seed(N)
        model = BigramLanguageModel(V)
        table = 2 * torch.randn(V, V, generator=generator)
        model.load_state_dict({"token_embedding.weight": table})
        data = torch.randint(V, (N,), generator=generator)
        got, again = (as_tensor(call(answer, model, data, case=case), case) for _ in range(2))
        logits = model.token_embedding.weight.detach().double()
        log_probs = logits.log_softmax(dim=-1)
        surprises = -log_probs[data[:-1], data[1:]]
        if not close(got, again):
            raise Mistake(
                f"For {case}: two calls give two answers, so it looks at random batches: measure "
                "the loss on all of data."
            )
        loss, whole, own = surprises.mean(), len(surprises) // 8 * 8, -log_probs[data, data]
        twice = -log_probs.exp().log_softmax(dim=-1)
        expect(got, loss.exp(), case, {
            "that is the loss itself: perplexity is e to the power of it.": loss,
            "2 to the power of the loss: with a loss in nats the base is e.": 2**loss,
            "the base is 10, and with a loss in nats it is e.": 10**loss,
            "e to the power of minus the loss is a probability.": (-loss).exp(),
            "the targets are the inputs themselves, not shifted: a character's target is the next "
            "one.": own.mean().exp(),
            "the targets are the inputs themselves, not shifted, and the last one is left out: a "
            "character's target is the next one.": own[:-1].mean().exp(),
            "inputs and targets are swapped: a character's target is the next one, not the one "
            "before.": (-log_probs[data[1:], data[:-1]]).mean().exp(),
            "the mean of 1/p: take the mean of the losses first, then e to the power of it.":
                surprises.exp().mean(),
            "1 over the mean of p: take the mean of the losses first, then e to the power of it.":
                1 / (-surprises).exp().mean(),
            "the losses are added and not averaged.": surprises.sum().exp(),
            "the sum of the losses is divided by N, but there are N - 1 predictions.":
                (surprises.sum() / N).exp(),
            "the last tokens are left out: `full_loss` has a way to count them too.":
                surprises[:whole].mean().exp(),
            "the last prediction is left out: the last token is a target too.":
                surprises[:-1].mean().exp(),
            "the first prediction is left out: only the first token has none before it.":
                surprises[1:].mean().exp(),
            "a softmax is taken twice: `cross_entropy` takes logits.":
                twice[data[:-1], data[1:]].mean().exp(),
        })  # fmt: skip

    sizes = [(5, 12), (7, 100), (11, 46), (3, 2)]
    on_each({f"{V} characters and {N} tokens": (V, N) for V, N in sizes}, look)
    case = "3 characters whose logits are all 0"
    expect(call(answer, BigramLanguageModel(3), torch.tensor([0, 2, 2, 1]), case=case), 3, case, {})


@check
def smoothing_experiment(answer, train_data, val_data, vocab_size):
    """The table of losses of a counted trigram: smoothing, train_loss, val_loss."""
    smoothings = [1, 0.1, 0.01]
    losses = ["train_loss", "val_loss"]
    rows = read_rows(answer, {"smoothing": smoothings}, losses)
    both = {"t": _triples(train_data, vocab_size), "v": _triples(val_data, vocab_size)}

    def table(count=_trigram, learn="tt", test="tv") -> torch.Tensor:
        """Six losses, (3, 2); a column counts the split in `learn` and tests on that in `test`."""
        rows = []
        for smoothing in smoothings:
            rows.append([])
            for taught, asked in zip(learn, test, strict=True):
                log_probs = count(both[taught], smoothing)
                mean = (both[asked] * log_probs).nansum() / both[asked].sum()
                rows[-1].append(-mean.item())
        return torch.tensor(rows, dtype=torch.double)

    right = table()
    exact(rows, right.numpy())
    expect(torch.tensor(rows.values), right, "the six losses", {
        "the two columns are swapped.": right.flip(1),
        "the validation column has counts of its own split: count the training split only, or it "
        "is no test.": lambda: table(learn="tv"),
        "you divide by the number of all triples: what follows *a given pair* must sum to 1, so "
        "divide each row by its own sum.": lambda: table(_joint),
        "the smoothing is added to the numerator alone: divide by the sum of the smoothed row.":
            lambda: table(_unbalanced),
        "these are the losses of a bigram: look at the two characters before the next.":
            lambda: table(_bigram),
    }, atol=ROUNDED)  # fmt: skip
    return "All six losses were counted again here, and are these."


def _triples(data: torch.Tensor, V: int) -> torch.Tensor:
    """How often each triple occurs, (V, V, V)."""
    triples = (data[:-2] * V + data[1:-1]) * V + data[2:]
    return torch.bincount(triples, minlength=V**3).view(V, V, V).double()


def _trigram(counts: torch.Tensor, smoothing: float) -> torch.Tensor:
    smoothed = counts + smoothing
    return (smoothed / smoothed.sum(dim=-1, keepdim=True)).log()


def _joint(counts: torch.Tensor, smoothing: float) -> torch.Tensor:
    smoothed = counts + smoothing
    return (smoothed / smoothed.sum()).log()


def _unbalanced(counts: torch.Tensor, smoothing: float) -> torch.Tensor:
    # A pair that was never seen would divide by 0: learners divide by 1 there.
    return ((counts + smoothing) / counts.sum(dim=-1, keepdim=True).clamp(min=1)).log()


def _bigram(counts: torch.Tensor, smoothing: float) -> torch.Tensor:
    return _trigram(counts.sum(dim=0, keepdim=True), smoothing).expand_as(counts)
