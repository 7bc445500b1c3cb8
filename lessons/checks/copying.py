"""Plumbing · the check of lesson 9's second exercise, a longest stretch in common."""

import random
import time
from collections.abc import Callable
from itertools import combinations

from lessons.checks.blame import short
from lessons.checks.compare import call, on_each
from lessons.checks.verdict import Mistake, check

# Seconds for a sample and a text of so many characters. All stretches of a sample, or all pairs of
# places, take several times as long; a look or two at each place takes a small part.
LIMITS = {(200, 20_000): 0.1, (500, 50_000): 0.2}


@check
def longest_copy(answer):
    """`longest_copy(sample, text)`: the longest stretch of `sample` that stands in `text`."""

    def look(case: str, inputs: tuple) -> None:
        explain(call(answer, *inputs, case=case), *inputs, case)

    def time_it(case: str, inputs: tuple) -> None:
        sample, text, limit = inputs
        start = time.thread_time()  # what other programs take of this machine is not counted
        got = call(answer, sample, text, case=case)
        seconds = time.thread_time() - start
        if got != longest(sample, text):
            raise Mistake(_apart(got, longest(sample, text), case), known=False)
        if seconds > limit:
            raise Mistake(
                f"Right, but too slow: {case} take {seconds:.2f} seconds. Look at each place of "
                "the sample once or twice, not at all its stretches, nor at all pairs of places."
            )

    on_each({f"sample {s!r} and text {t!r}": (s, t) for s, t in CASES}, look)
    for sample, text in NOTHING:
        look(f"sample {sample!r} and text {text!r}", (sample, text))
    look("the docstring's example", ("the sea she sells", "she sells sea shells"))
    on_each({
        f"a sample of {n:,} characters and a text of {m:,}": (_text(n, 1), _text(m, 2), limit)
        for (n, m), limit in LIMITS.items()
    }, time_it)  # fmt: skip


# No two mistakes give the same where one of them shows first.
CASES = [
    ("The cat sat on", "a cat sat outside, then"),
    ("a sea, sand", "sand-seas"),
    ("one/two/six", "two one six"),
    ("On It", "on it"),
    ("hat\nmat", "that\nmat is"),
    ("to be", "or not to be?"),
]
NOTHING = [("abc", "xyz"), ("", "any"), ("any", "")]


def explain(got: object, sample: str, text: str, case: str) -> None:
    """Raise the Mistake that explains `got`, unless it is the stretch."""
    if not isinstance(got, str):
        raise Mistake(f"For {case}: return the stretch itself, a string, and not {short(got)}.")
    right = longest(sample, text)
    if got == right:
        return
    for sentence, wrong in mistakes(sample, text).items():
        if got == wrong() != right:
            raise Mistake(f"For {case}: {sentence} ({_apart(got, right)})")
    said = _apart(got, right, case)
    for whole, name in ((sample, "sample"), (text, "text")):
        if got not in whole:
            raise Mistake(f"{said} {short(got)} does not stand in the {name}.", known=False)
    raise Mistake(said, known=False)


def _apart(got: object, right: str, case: str = "") -> str:
    start = f"For {case}: y" if case else "Y"
    return f"{start}ou get {short(got)}, and it should be {short(right)}."


def longest(sample: str, text: str) -> str:
    """The longest stretch of `sample` that stands in `text`; of equally long ones the first."""
    best = ""
    for start in range(len(sample)):
        while start + len(best) < len(sample) and sample[start : start + len(best) + 1] in text:
            best = sample[start : start + len(best) + 1]
    return best


def mistakes(sample: str, text: str) -> dict[str, Callable[[], str]]:
    """Each mistake's sentence, and what comes of it."""
    right = longest(sample, text)
    places = range(len(sample) + 1)
    found = [sample[a:b] for a, b in combinations(places, 2) if sample[a:b] in text]
    lower = longest(sample.lower(), text.lower())
    at = sample.lower().find(lower)
    return {
        "this is the last of equally long ones: keep the first, unless a later one is longer.":
            lambda: max(reversed(found), key=len, default=""),
        "of equally long ones this is the first of the text: take the first of the sample.":
            lambda: longest(text, sample),
        "capital and small letters are taken for the same: letter by letter they are not.":
            lambda: sample[at : at + len(lower)],
        "both were put in small letters: a copy is a copy letter by letter.": lambda: lower,
        "letters are left out between these: a stretch is all that stands between two places.":
            lambda: _subsequence(sample, text),
        "only whole words are compared: a stretch may begin and end within a word.":
            lambda: _words(sample, text),
        "only single words are compared: a stretch may go over spaces.":
            lambda: max(sorted(set(sample.split()) & set(text.split()), key=sample.find), key=len,
                        default=""),
        "a stretch ends where the line ends: it may go on in the next.":
            lambda: max((longest(sample, line) for line in text.splitlines()), key=len, default=""),
        "spaces are cut off its ends: a space is a character too.": right.strip,
        "this is the first stretch in common, and not the longest.":
            lambda: next(filter(None, (_grown(sample, text, a) for a in places)), ""),
        "only stretches from the beginning of the sample are tried.":
            lambda: _grown(sample, text, 0),
        "a stretch that ends with the sample is not tried: is a range one too short?":
            lambda: longest(sample[:-1], text),
        "its last character is missing: `sample[i : i + n]` has n characters, and ends before "
        "i + n.": lambda: right[:-1],
    }  # fmt: skip


def _grown(sample: str, text: str, start: int) -> str:
    end = start
    while end < len(sample) and sample[start : end + 1] in text:
        end += 1
    return sample[start:end]


def _words(sample: str, text: str) -> str:
    words, whole = sample.split(), f" {' '.join(text.split())} "
    runs = [" ".join(words[a:b]) for a, b in combinations(range(len(words) + 1), 2)]
    return max((run for run in runs if f" {run} " in whole), key=len, default="")


def _subsequence(sample: str, text: str) -> str:
    """The longest that is left of both when letters are left out."""
    above = [""] * (len(text) + 1)
    for a in sample:
        row = [""]
        for n, b in enumerate(text):
            row.append(above[n] + a if a == b else max(above[n + 1], row[n], key=len))
        above = row
    return above[-1]


def _text(n: int, seed: int) -> str:
    """Words out of the same few hundred."""
    letters, dice = random.Random(0), random.Random(seed)
    words = ["".join(letters.choices("etaoinshr", k=letters.randint(1, 7))) for _ in range(400)]
    return " ".join(dice.choices(words, k=n))[:n]
