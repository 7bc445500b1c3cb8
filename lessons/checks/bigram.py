"""Plumbing · checks of lesson 1's exercises.

Shapes: N tokens, V vocab_size.
"""

import math

from lessons.bigram import BigramLanguageModel
from lessons.checks.bands import ROUNDED, exact
from lessons.checks.compare import as_tensor, call, close, expect, on_each
from lessons.checks.tables import rows_of
from lessons.checks.verdict import Mistake, check
from lessons.tokenizer import CharTokenizer

import torch


@check
def likeliest_next(answer):
    """`likeliest_next(probs, tokenizer, ch, k)`: the k likeliest followers of ch, best first."""

    def look(case: str, inputs: tuple) -> None:
        chars, ch, k = inputs
        tokenizer = CharTokenizer(chars)
        V = tokenizer.vocab_size
        # With this seed rows, columns and the alphabet are in different orders.
        probs = torch.rand(V, V, generator=torch.Generator().manual_seed(V + 3))
        probs = probs / probs.sum(dim=1, keepdim=True)
        got = call(answer, probs, tokenizer, ch, k, case=case)
        _look_at_pairs(got, probs, tokenizer, ch, k, case)

    inputs = [("abc", "a", 2), ("abcdefg", "e", 1), ("abcdefg", "b", 5)]
    on_each({f"characters {c!r}, ch = {ch!r}, k = {k}": (c, ch, k) for c, ch, k in inputs}, look)


def _look_at_pairs(got, probs, tokenizer, ch, k, case) -> None:
    try:
        chars, values = zip(*got, strict=True)
    except (TypeError, ValueError):
        raise Mistake(f"For {case}: return a list of pairs (character, probability).") from None
    if all(isinstance(value, str) for value in values):
        raise Mistake(f"For {case}: a pair is (character, probability), in this order.")
    if not all(isinstance(c, str) for c in chars):
        raise Mistake(f"For {case}: {chars[0]!r} is not a character: use `tokenizer.itos`.")
    if len(chars) != k:
        raise Mistake(f"For {case}: there are {len(chars)} pairs, and k is {k}.")
    row, column = probs[tokenizer.stoi[ch]], probs[:, tokenizer.stoi[ch]]
    orders = {
        "": row.argsort(descending=True),
        "this is the column, not the row: what comes *before* it.": column.argsort(descending=True),
        "these are the least likely ones: sort the other way round.": row.argsort(),
        "these are the first entries of the row: sort it by probability.": torch.arange(len(row)),
    }
    for sentence, order in orders.items():
        if "".join(chars) == tokenizer.decode(order[:k].tolist()):
            if sentence:
                raise Mistake(f"For {case}: {sentence}")
            break
    else:
        best = tokenizer.decode(orders[""][:k].tolist())
        raise Mistake(f"For {case}: you get {chars}, and it should be {tuple(best)}.", known=False)
    right = row[orders[""][:k]]
    expect(torch.tensor(values), right, case, {
        "these are logarithms of the probabilities.": right.log(),
        "these are percentages: a probability is at most 1.": 100 * right,
        "the probabilities are those of the column, the characters those of the row.":
            column[orders[""][:k]],
    })  # fmt: skip


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
        log_probs = model.token_embedding.weight.detach().log_softmax(dim=-1)
        surprises = [-log_probs[a, b].item() for a, b in zip(data[:-1], data[1:], strict=True)]
        if not close(got, again):
            raise Mistake(
                f"For {case}: two calls give two answers, so it looks at random batches: measure "
                "the loss on all of data."
            )
        loss = sum(surprises) / len(surprises)
        whole = surprises[: len(surprises) // 8 * 8]
        same = -log_probs[data, data]
        expect(got, math.exp(loss), case, {
            "that is the loss itself: perplexity is e to the power of it.": loss,
            "2 to the power of the loss: with a loss in nats the base is e.": 2**loss,
            "e to the power of minus the loss is a probability.": math.exp(-loss),
            "the targets are the inputs themselves, not shifted: a character's target is the next "
            "one.": same.mean().exp(),
            "the mean of 1/p: take the mean of the losses first, then e to the power of it.":
                sum(map(math.exp, surprises)) / len(surprises),
            "the last tokens are left out: `full_loss` has a way to count them too.":
                lambda: math.exp(sum(whole) / len(whole)),
        })  # fmt: skip

    sizes = [(3, 5), (7, 100), (11, 46)]
    on_each({f"{V} characters and {N} tokens": (V, N) for V, N in sizes}, look)


@check
def smoothing_experiment(answer, train_data, val_data, vocab_size):
    """The table of losses of a counted trigram: smoothing, train_loss, val_loss."""
    smoothings = [1, 0.1, 0.01]
    losses = ["train_loss", "val_loss"]
    rows = rows_of(answer, {"smoothing": smoothings}, losses)
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
