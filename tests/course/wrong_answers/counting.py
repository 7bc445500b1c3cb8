"""Lesson 9."""

import math
import re

from lessons.checks.copying import longest
from lessons.checks.orders import PlainCounts
from lessons.counting import CountModel, log_shares
from lessons.evaluation import token_losses
from wrong_answers import Wrong

import pandas as pd
import torch


def taken(counts, D):
    return [min(c, D) for c in counts]


def kept(counts, D, below=None):
    below = sum(counts) if below is None else below
    return [
        (c - t) / below if below else 0.0 for c, t in zip(counts, taken(counts, D), strict=True)
    ]


def left(counts, D):
    return sum(taken(counts, D)) / sum(counts) if sum(counts) else 1.0


def seen(counts):
    return sum(c > 0 for c in counts)


def right(counts, D):
    return kept(counts, D), left(counts, D)


def unless_never_seen(answer):
    """The mistake where there is something to divide, else the right answer."""
    return lambda counts, D: answer(counts, D) if sum(counts) else right(counts, D)


def everywhere(counts, D):
    shares = [(c - D) / sum(counts) for c in counts]
    return shares, 1 - sum(shares)


def below_0(counts, D):
    return [(c - D) / sum(counts) for c in counts], left(counts, D)


def dealt_out(counts, D):
    unseen = counts.count(0)
    return [k if c else left(counts, D) / unseen
            for c, k in zip(counts, kept(counts, D), strict=True)], left(counts, D)  # fmt: skip


def more_than_there_is(counts, D):
    N = sum(counts)
    return [(c - D) / N if c else 0.0 for c in counts], D * seen(counts) / N


def places(sample, n):
    return range(len(sample) - n + 1)


def last(sample, text):
    best = ""
    for n in range(1, len(sample) + 1):
        for i in places(sample, n):
            if sample[i : i + n] in text:
                best = sample[i : i + n]
    return best


def any_case(sample, text):
    found = longest(sample.lower(), text.lower())
    start = sample.lower().find(found)
    return sample[start : start + len(found)]


def subsequence(sample, text):
    table = [["" for _ in range(len(text) + 1)] for _ in range(len(sample) + 1)]
    for i, a in enumerate(sample):
        for j, b in enumerate(text):
            other = max(table[i][j + 1], table[i + 1][j], key=len)
            table[i + 1][j + 1] = table[i][j] + a if a == b else other
    return table[-1][-1]


def whole_words(sample, text):
    words, there, best = sample.split(), text.split(), ""
    for i in range(len(words)):
        for j in range(i + 1, len(words) + 1):
            n = j - i
            runs = [there[k : k + n] for k in range(len(there) - n + 1)]
            if words[i:j] in runs and len(" ".join(words[i:j])) > len(best):
                best = " ".join(words[i:j])
    return best


def single_words(sample, text):
    return max((w for w in sample.split() if w in text.split()), key=len, default="")


def line_by_line(sample, text):
    return max((longest(sample, line) for line in text.split("\n")), key=len)


def prefix(sample, text):
    n = 0
    while n < len(sample) and sample[: n + 1] in text:
        n += 1
    return sample[:n]


def first_found(sample, text):
    return next((prefix(sample[i:], text) for i in range(len(sample)) if sample[i] in text), "")


def range_too_short(sample, text):
    best = ""
    for i in range(len(sample)):
        for j in range(i, len(sample)):
            if sample[i:j] in text and j - i > len(best):
                best = sample[i:j]
    return best


def all_stretches(sample, text):
    best = ""
    for i in range(len(sample)):
        for j in range(i + 1, len(sample) + 1):
            if sample[i:j] in text and j - i > len(best):
                best = sample[i:j]
    return best


def only_the_beginning(sample, text):
    return longest(sample, text[:1000])


def by_one(sample, text):
    best = ""
    for i in range(len(sample) - 1):
        n = len(best) + 1
        if i + n <= len(sample) and sample[i : i + n] in text:
            best = sample[i : i + n]
    return best


def leaping(sample, text):
    best, i = "", 0
    while i < len(sample):
        j = i
        while j < len(sample) and sample[i : j + 1] in text:
            j += 1
        if j - i > len(best):
            best = sample[i:j]
        i = j if j > i else i + 1
    return best


def as_pattern(sample, text):
    best = ""
    for i in range(len(sample)):
        for j in range(i + len(best) + 1, len(sample) + 1):
            if not re.search(sample[i:j], text):
                break
            best = sample[i:j]
    return best


def from_two_on(sample, text):
    found = longest(sample, text)
    return found if len(found) >= 2 else ""


V = 5
GENERATOR = torch.Generator().manual_seed(1)
# The beginning, the middle and the end of this text are not alike.
CHANCES = torch.tensor([[8.0, 4, 2, 1, 1], [2, 8, 4, 1, 1], [1, 2, 8, 2, 4]])
STEPS = torch.multinomial(CHANCES, 6_000, True, generator=GENERATOR).flatten()
TEXT = (STEPS + STEPS.roll(2) * STEPS.roll(1)) % V
TRAIN, VAL = TEXT[:16_500], TEXT[16_500:]


def table(loss) -> pd.DataFrame:
    """The experiment with `loss(part, order)`."""
    rows = [(n, order, loss(TRAIN[:n], order))
            for n in (10_000, 100_000, 1_000_000) for order in (2, 4, 6, 8)]  # fmt: skip
    return pd.DataFrame(rows, columns=["n_chars", "order", "val_loss"])


def measured(model, text=VAL, before=TRAIN):
    return -log_shares(model, text, before).mean().item()


def counted(change=lambda part: part, back=0, **where):
    return table(lambda part, order: measured(CountModel(change(part), V, order - back), **where))


RIGHT = counted()

WRONG = [
    Wrong("hand_over", {
        "a share comes out below 0: nothing": unless_never_seen(everywhere),
        "though nothing is left of it": unless_never_seen(below_0),
        "comes back without its sign": unless_never_seen(
            lambda c, D: ([abs(s) for s in below_0(c, D)[0]], left(c, D))),
        "reckoned from all counts": unless_never_seen(
            lambda c, D: (kept(c, D), D * len(c) / sum(c))),
        "take all": unless_never_seen(more_than_there_is),
        "even of a count below it": unless_never_seen(
            lambda c, D: (kept(c, D), D * seen(c) / sum(c))),
        "nothing is divided": lambda c, D: (kept(c, D, 1), sum(taken(c, D))),
        "what is kept is not divided": lambda c, D: (kept(c, D, 1), left(c, D)),
        "what is left is not divided": lambda c, D: (kept(c, D), sum(taken(c, D))),
        "by how many counts there are": unless_never_seen(
            lambda c, D: (kept(c, D, len(c)), sum(taken(c, D)) / len(c))),
        "by how many kinds were seen": unless_never_seen(
            lambda c, D: (kept(c, D, seen(c)), sum(taken(c, D)) / seen(c))),
        "by what the discount leaves": unless_never_seen(
            lambda c, D: (kept(c, D, sum(kept(c, D, 1))), left(c, D))),
        "made to add up to 1": unless_never_seen(
            lambda c, D: (kept(c, D, sum(kept(c, D, 1))), 0.0)),
        "and yet something is left": unless_never_seen(lambda c, D: (kept(c, 0), left(c, D))),
        "and so nothing is left": unless_never_seen(lambda c, D: (kept(c, 0), 0.0)),
        "a part of each count is taken": unless_never_seen(
            lambda c, D: ([n * (1 - D) / sum(c) for n in c], D)),
        "multiplied by the discount": unless_never_seen(
            lambda c, D: ([n * D / sum(c) for n in c], 1 - D)),
        "one discount is left": unless_never_seen(lambda c, D: (kept(c, D), D / sum(c))),
        "the discount itself is left": lambda c, D: (kept(c, D), D),
        "reckoned from the counts of 0": unless_never_seen(
            lambda c, D: (kept(c, D), D * c.count(0) / sum(c))),
        "all that is kept": lambda c, D: (kept(c, D), sum(kept(c, D))),
        "dealt out here": unless_never_seen(dealt_out),
        "never seen nothing is left": lambda c, D: (kept(c, D), left(c, D) if sum(c) else 0.0),
        "and yet shares are kept": lambda c, D: right(c, D) if sum(c) else (
            [1 / len(c) for _ in c], 0.0),
        "and not the discount": lambda c, D: (kept(c, D), left(c, D) if sum(c) else D),
        "raised ZeroDivisionError": lambda c, D: (
            [(n - t) / sum(c) for n, t in zip(c, taken(c, D), strict=True)],
            sum(taken(c, D)) / sum(c)),
        "a share for each": lambda c, D: ([k for k in kept(c, D) if k], left(c, D)),
        "the list of shares comes first": lambda c, D: right(c, D)[::-1],
        "what is left is one number": lambda c, D: (kept(c, D), taken(c, D)),
        "return two things": kept,
        "entry [0] is 1, and should be": lambda c, D: ([1.0 for _ in c], 1.0),
    }),
    Wrong("longest_copy", {
        "the last of equally long ones": last,
        "the first of the text": lambda sample, text: longest(text, sample),
        "taken for the same": any_case,
        "put in small letters": lambda sample, text: longest(sample.lower(), text.lower()),
        "letters are left out": subsequence,
        "only whole words": whole_words,
        "only single words": single_words,
        "it may go on in the next": line_by_line,
        "a space is a character too": lambda sample, text: longest(sample, text).strip(),
        "and not the longest": first_found,
        "from the beginning of the sample": prefix,
        "is a range one too short": range_too_short,
        "its last character is missing": lambda sample, text: longest(sample, text)[:-1],
        "cut off the sample or the text": lambda sample, text: longest(
            sample.strip(), text.strip()),
        "the first place is number 0": lambda sample, text: longest(sample[1:], text),
        "that ends with the text": lambda sample, text: longest(sample, text[:-1]),
        "that begins the text": lambda sample, text: longest(sample, text[1:]),
        "with `while`": by_one,
        "a longer one may begin within": leaping,
        "as in a pattern": as_pattern,
        "a single character": from_two_on,
        "For a copy of 100 characters": lambda sample, text: longest(sample, text)[:50],
        "Right, but too slow": all_stretches,
        "a string, and not 10": lambda sample, text: len(longest(sample, text)),
        "returned None": lambda sample, text: longest(sample, text) or None,
        "does not stand in the sample": lambda sample, text: text,
        "does not stand in the text": lambda sample, text: sample,
        "and it should be ' cat sat o'": lambda sample, text: "a",
        "a text of 20,000: you get": only_the_beginning,
    }),
    Wrong("order_experiment", {
        "counted on all of `train_data`": counted(lambda part: TRAIN),
        "the last `n_chars` characters": counted(lambda part: TRAIN[-len(part) :]),
        "has memorised": table(lambda part, order: measured(
            CountModel(part, V, order), part[order:], part)),
        "this is the loss on `train_data`": table(lambda part, order: measured(
            CountModel(part, V, order), TRAIN[order:])),
        "`val_data` itself was counted": counted(lambda part: VAL[: len(part)]),
        "it looks back one less": counted(back=1),
        "it looks back one more": counted(back=-1),
        "`val_data` too, which is no test": counted(lambda part: TEXT),
        "the shorter contexts have plain counts": table(
            lambda part, order: measured(PlainCounts(part, V, order))),
        "each window starts without a context": table(lambda part, order: token_losses(
            CountModel(part, V, order), VAL, order).mean().item()),
        "these are sums": RIGHT.assign(val_loss=RIGHT.val_loss * len(VAL)),
        "are left out": table(lambda part, order: measured(
            CountModel(part, V, order), VAL[order:], VAL)),
        "whichever part was counted": table(lambda part, order: measured(
            CountModel(part, V, order), before=part)),
        "`val_loss` is in bits": RIGHT.assign(val_loss=RIGHT.val_loss / math.log(2)),
        "`val_loss` is to the base 10": RIGHT.assign(val_loss=RIGHT.val_loss / math.log(10)),
        "`val_loss` is a perplexity": RIGHT.assign(val_loss=RIGHT.val_loss.map(math.exp)),
        "has the wrong sign": RIGHT.assign(val_loss=-RIGHT.val_loss),
        "Are rows exchanged?": RIGHT.assign(
            val_loss=[RIGHT.val_loss[n] for n in (1, 0, *range(2, 12))]),
        "has 0 rows for n_chars 1000000, order 8": RIGHT[:-1],
        "has 0 columns named `val_loss`": RIGHT.rename(columns={"val_loss": "loss"}),
        "is 9, and should be": RIGHT.assign(val_loss=9.0),
    }, facts=(TRAIN, VAL, V), right=RIGHT),
]  # fmt: skip
