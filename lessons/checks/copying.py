"""Plumbing · the check of lesson 9's second exercise, a longest stretch in common."""

import random
import re
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
    ruled_out: set[str] = set()  # the mistakes that would have shown in a case before

    def look(case: str, inputs: tuple[str, str]) -> None:
        got, right = call(answer, *inputs, case=case), longest(*inputs)
        shown = {s: wrong for s, wrong in mistakes(*inputs).items() if wrong != right}
        if got != right:
            known = {s: wrong for s, wrong in shown.items() if s not in ruled_out}
            raise explained(got, inputs, case, known)
        ruled_out.update(shown)

    def time_it(case: str, inputs: tuple[str, str, float]) -> None:
        sample, text, limit = inputs
        start = time.thread_time()  # what other programs take of this machine is not counted
        got = call(answer, sample, text, case=case)
        seconds = time.thread_time() - start
        if got != longest(sample, text):
            raise explained(got, (sample, text), case, {})
        if seconds > limit:
            raise Mistake(
                f"Right, but too slow: {case} take {seconds:.2f} seconds. Look at each place of "
                "the sample once or twice, not at all its stretches, nor at all pairs of places."
            )

    on_each({f"sample {s!r} and text {t!r}": (s, t) for s, t in CASES}, look)
    for sample, text in NOTHING:
        look(f"sample {sample!r} and text {text!r}", (sample, text))
    look("the docstring's example", ("the sea she sells", "she sells sea shells"))
    copied = _text(150, 1)
    look("a copy of 100 characters", (copied, _text(300, 2) + copied[20:120] + _text(300, 3)))
    on_each({
        f"a sample of {n:,} characters and a text of {m:,}": (_text(n, 1), _text(m, 2), limit)
        for (n, m), limit in LIMITS.items()
    }, time_it)  # fmt: skip


# Of the mistakes that no earlier case has ruled out, no two give the same.
CASES = [
    ("The cat sat on", "a cat sat outside, then"),
    ("a sea, sand", "(sand-seas)"),
    ("one/two/six/ten", "six two one ten"),
    ("On It", "on it"),
    ("hat\nmat", "that\nmat is"),
    ("to be", "or not to be?"),
    ("aabc", "aa, abc."),
    ("end.", "ends"),
    (" at", "oh at!"),
    ("the end", "no end"),
    ("an end", "end it"),
    ("pub", "cab"),
]
NOTHING = [("abc", "xyz"), ("", "any"), ("any", "")]


def explained(got: object, inputs: tuple[str, str], case: str, known: dict[str, str]) -> Mistake:
    """What to say of `got`, which is not the stretch; `known` has what comes of which mistake."""
    if not isinstance(got, str):
        return Mistake(f"For {case}: return the stretch itself, a string, and not {short(got)}.")
    apart = f"ou get {short(got)}, and it should be {short(longest(*inputs))}."
    for sentence, wrong in known.items():
        if got == wrong:
            return Mistake(f"For {case}: {sentence} (Y{apart})")
    for whole, name in zip(inputs, ("sample", "text"), strict=True):
        if got not in whole:
            apart += f" {short(got)} does not stand in the {name}."
            break
    return Mistake(f"For {case}: y{apart}", known=False)


def longest(sample: str, text: str, stands_in: Callable = str.__contains__) -> str:
    """The longest stretch of `sample` that stands in `text`; of equally long ones the first."""
    best = ""
    for start in range(len(sample)):
        while start + len(best) < len(sample):
            more = sample[start : start + len(best) + 1]
            if not stands_in(text, more):
                break
            best = more
    return best


def mistakes(sample: str, text: str) -> dict[str, str]:
    """Each mistake's sentence, and what comes of it."""
    right, lower = longest(sample, text), longest(sample.lower(), text.lower())
    stretches = [sample[a:b] for a, b in combinations(range(len(sample) + 1), 2)]
    shared = sorted(set(sample.split()) & set(text.split()), key=sample.find)
    at = sample.lower().find(lower)
    grown = [_grown(sample, text, start) for start in range(len(sample))]
    return {
        "this is the last of equally long ones: keep the first, unless a later one is longer.":
            max((s for s in reversed(stretches) if s in text), key=len, default=""),
        "of equally long ones this is the first of the text: take the first of the sample.":
            longest(text, sample),
        "capital and small letters are taken for the same: letter by letter they are not.":
            sample[at : at + len(lower)],
        "both were put in small letters: a copy is a copy letter by letter.": lower,
        "letters are left out between these: a stretch is all that stands between two places.":
            _subsequence(sample, text),
        "only whole words are compared: a stretch may begin and end within a word.":
            _words(sample, text),
        "only single words are compared: a stretch may go over spaces.":
            max(shared, key=len, default=""),
        "a stretch ends where the line ends: it may go on in the next.":
            max((longest(sample, line) for line in text.splitlines()), key=len, default=""),
        "spaces are cut off its ends: a space is a character too.": right.strip(),
        "spaces are cut off the sample or the text: a space is a character too.":
            longest(sample.strip(), text.strip()),
        "this is the first stretch in common, and not the longest.":
            next(filter(None, grown), ""),
        "only stretches from the beginning of the sample are tried.": grown[0] if grown else "",
        "a stretch that begins the sample is not tried: the first place is number 0.":
            longest(sample[1:], text),
        "a stretch that ends with the sample is not tried: is a range one too short?":
            longest(sample[:-1], text),
        "a stretch that ends with the text is not found.": longest(sample, text[:-1]),
        "a stretch that begins the text is not found.": longest(sample, text[1:]),
        "its last character is missing: `sample[i : i + n]` has n characters, and ends before "
        "i + n.": right[:-1],
        "a stretch grows by one character at each place: if a longer one is there, try one more "
        "from the same place, with `while`.": _by_one(sample, text),
        "after a stretch in common the search goes on behind it: a longer one may begin within.":
            _leaping(sample, text),
        "a full stop is taken for any character, as in a pattern: letter by letter it is none.":
            longest(sample, text, lambda text, more: re.search(more, text)),
        "a single character is a stretch too, also the last one.": right if len(right) > 1 else "",
    }  # fmt: skip


def _grown(sample: str, text: str, start: int) -> str:
    end = start
    while end < len(sample) and sample[start : end + 1] in text:
        end += 1
    return sample[start:end]


def _by_one(sample: str, text: str) -> str:
    best = ""
    for start in range(len(sample)):
        more = sample[start : start + len(best) + 1]
        if len(more) > len(best) and more in text:
            best = more
    return best


def _leaping(sample: str, text: str) -> str:
    best, start = "", 0
    while start < len(sample):
        found = _grown(sample, text, start)
        best = max(best, found, key=len)
        start += max(len(found), 1)
    return best


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
