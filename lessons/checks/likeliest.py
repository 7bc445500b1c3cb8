"""Plumbing · the check of lesson 1's first exercise.

V is vocab_size.
"""

from lessons.checks.compare import as_tensor, call, expect, on_each
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

    # Alphabets with gaps: an id is a place in this tokenizer, and nowhere else.
    inputs = [("aehkx", "h", 3), ("acegikm", "e", 1), (" !bdfhz", "b", 5), ("ad", "d", 2)]
    on_each({f"characters {c!r}, ch = {ch!r}, k = {k}": (c, ch, k) for c, ch, k in inputs}, look)
    probs = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    case = "the docstring's example"
    got = call(answer, probs, CharTokenizer("abc"), "a", 2, case=case)
    _look_at_pairs(got, probs, CharTokenizer("abc"), "a", 2, case)


def _look_at_pairs(got, probs, tokenizer, ch, k, case) -> None:
    try:
        if isinstance(got, str | torch.Tensor):  # `zip` would take each entry for a pair
            raise TypeError
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
    best = row.argsort(descending=True)
    right = tuple(tokenizer.decode(best[:k].tolist()))
    if tuple(chars) != right:
        if sorted(chars) == sorted(right):
            raise Mistake(f"For {case}: these are the right ones, but put the likeliest first.")
        for sentence, order in _wrong_orders(row, column).items():
            if tuple(chars) == tuple(tokenizer.decode(order[:k].tolist())):
                raise Mistake(f"For {case}: {sentence}")
        raise Mistake(f"For {case}: you get {chars}, and it should be {right}.", known=False)
    right = row[best[:k]]
    expect(torch.stack([as_tensor(value, case) for value in values]), right, case, {
        "these are logarithms of the probabilities.": right.log(),
        "these are percentages: a probability is at most 1.": 100 * right,
        "the probabilities are those of the column, the characters those of the row.":
            column[best[:k]],
        "a softmax was taken of the row, which holds probabilities already.":
            row.softmax(dim=0)[best[:k]],
        "the k probabilities are made to sum to 1: those of all characters do.":
            right / right.sum(),
        "the probabilities are divided by the number of characters: a row sums to 1 already.":
            right / len(row),
    })  # fmt: skip


def _wrong_orders(row: torch.Tensor, column: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "this is the column, not the row: what comes *before* it.": column.argsort(descending=True),
        "these are the least likely ones: sort the other way round.": row.argsort(),
        "these are the first entries of the row: sort it by probability.": torch.arange(len(row)),
    }
