"""What a check says is true: each mistake that it knows is told from all others."""

import importlib
import pkgutil
import re
from collections.abc import Callable

from lessons import checks
from lessons.checks import compare, copying
from test_checks import SOLVED

import pytest
import torch

TOPICS = [importlib.import_module(f"lessons.checks.{m.name}") for m in
          pkgutil.iter_modules(checks.__path__)]  # fmt: skip
LOOKED_AT = [topic for topic in TOPICS if getattr(topic, "expect", None) is compare.expect]


@pytest.fixture
def expecting(monkeypatch):
    """Put another function in the place of `expect`, in all checks."""

    def put(expect: Callable) -> None:
        for topic in LOOKED_AT:
            if topic is not compare:
                monkeypatch.setattr(topic, "expect", expect)

    return put


def seen(exercise: str, expecting) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """For each case of an exercise the right value, and that of each mistake that shows in it."""
    cases = []

    def listen(got, right, case, mistakes, atol=1e-5):
        compare.expect(got, right, case, mistakes, atol)
        right = compare.as_tensor(right, case)
        values = {sentence: compare._computed(wrong, case) for sentence, wrong in mistakes.items()}
        shown = {s: v for s, v in values.items() if v is not None and not compare.close(v, right)}
        cases.append((case, shown))

    expecting(listen)
    verdict = getattr(checks, exercise)(SOLVED[exercise])
    assert verdict.passed, verdict
    return cases


# Their checks explain without `expect`.
OF_THEIR_OWN = {"relu_unit", "longest_copy"}


@pytest.mark.parametrize("exercise", sorted(set(SOLVED) - OF_THEIR_OWN))
def test_no_two_mistakes_give_the_same_where_one_of_them_shows_first(exercise, expecting):
    met: set[str] = set()
    for case, shown in seen(exercise, expecting):
        for sentence in set(shown) - met:
            twins = [other for other in shown if other != sentence
                     and compare.close(shown[other], shown[sentence])]  # fmt: skip
            assert not twins, f"{case}: {sentence!r} and {twins}"
        met |= set(shown)
    assert met


@pytest.mark.parametrize("exercise", sorted(set(SOLVED) - OF_THEIR_OWN))
def test_who_makes_a_mistake_in_every_case_is_told_of_that_one(exercise, expecting):
    known = {sentence for _, shown in seen(exercise, expecting) for sentence in shown}
    for sentence in known:

        def mistaken(got, right, case, mistakes, atol=1e-5, sentence=sentence):
            value = compare._computed(mistakes[sentence], case) if sentence in mistakes else None
            compare.expect(right if value is None else value, right, case, mistakes, atol)

        expecting(mistaken)
        assert sentence in getattr(checks, exercise)(SOLVED[exercise]).message


def test_no_two_mistakes_in_copying_give_the_same_where_one_of_them_shows_first():
    met = set()
    for inputs in copying.CASES:
        values, right = copying.mistakes(*inputs), copying.longest(*inputs)
        shown = {s: value for s, value in values.items() if value != right}
        new = set(shown) - met  # who makes one of the others does not come as far as here
        for sentence in new:
            twins = [s for s in new if s != sentence and shown[s] == shown[sentence]]
            assert not twins, f"{inputs}: {sentence!r} and {twins}"
        met |= set(shown)
    assert met == set(copying.mistakes("a", "b"))


@pytest.mark.parametrize("sentence", copying.mistakes("a", "b"))
def test_who_makes_a_mistake_in_copying_in_every_case_is_told_of_that_one(sentence):
    verdict = checks.longest_copy(lambda *inputs: copying.mistakes(*inputs)[sentence])
    assert sentence in verdict.message


def test_the_longest_stretch_is_the_first_of_all_the_longest_ones():
    for sample, text in [*copying.CASES, *copying.NOTHING, ("abab" * 5, "bababb" * 4)]:
        stretches = [sample[a:b] for a in range(len(sample)) for b in range(a, len(sample) + 1)]
        expected = max((s for s in stretches if s in text), key=len, default="")
        assert copying.longest(sample, text) == expected


SIZES = {"√B": lambda B, T, C: B**0.5, "√T": lambda B, T, C: T**0.5, "T": lambda B, T, C: T,
         "C": lambda B, T, C: C, "√2": lambda B, T, C: 2**0.5, "B": lambda B, T, C: B}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_who_divides_the_scores_by_another_size_is_not_told_that_it_is_a_third(size):
    def head(head, x):
        weights = head.query(x) @ head.key(x).mT / SIZES[size](*x.shape)
        hidden = torch.ones_like(weights).triu(1) == 1
        return weights.masked_fill(hidden, float("-inf")).softmax(dim=-1) @ head.value(x)

    def heads(module, x):
        q, k, v = (f(x).unflatten(-1, (module.n_head, -1)).transpose(1, 2)
                   for f in (module.query, module.key, module.value))  # fmt: skip
        scores = q @ k.mT / SIZES[size](*x.shape)
        hidden = torch.ones_like(scores).triu(1) == 1
        weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).flatten(2)

    for verdict in (checks.head_by_loops(head), checks.attention_without_einops(heads)):
        assert not verdict.passed
        assert re.search(r": entry \[\d, \d, \d+\] is", verdict.message), verdict
