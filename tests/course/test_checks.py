"""A check passes what is right, and says what is wrong with the rest."""

import ast
import contextlib
import copy
import importlib
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from lessons import checks
from lessons.checks.verdict import TIME_LIMIT, Mistake, check
from lessons.course.catalogue import read_lessons
from lessons.residual import ResidualBlock

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn

ROOT = Path(__file__).resolve().parents[2]
TOPICS = [path.stem for path in sorted((Path(__file__).parent / "wrong_answers").glob("[a-z]*.py"))]
WRONG = [w for t in TOPICS for w in importlib.import_module(f"wrong_answers.{t}").WRONG]
EXERCISES = {w.exercise: w for w in reversed(WRONG)}
SOLUTIONS = sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))
CASES = [(w, hint) for w in WRONG for hint in w.answers]


def solved() -> dict[str, object]:
    """Exercise -> the solution's function or class; experiments are run by their notebooks."""
    answers = {}
    for path in SOLUTIONS:
        cells = {cell.id: cell.source for cell in nbformat.read(path, as_version=4).cells}
        lines = cells["imports"].splitlines()
        scope = {}
        exec("\n".join(line for line in lines if line.startswith(("import", "from"))), scope)
        before = set(scope)
        for n in (1, 2):
            exec(compile(cells[f"solution-{n}"], f"{path.name} {n}", "exec"), scope)
        answers |= {name: scope[name] for name in sorted(set(scope) - before)}
    return answers


SOLVED = solved()


def test_every_exercise_has_a_check_and_at_least_three_wrong_answers():
    exported = set(checks.__all__) - {"Verdict", "attempt"}
    answers = Counter(wrong.exercise for wrong, _ in CASES)
    for name in exported:
        topic = getattr(checks, name).__module__.rpartition(".")[2]
        assert answers[name] >= 3, f"tests/wrong_answers/{topic}.py has not three for {name}"
    assert set(EXERCISES) == exported


def test_the_solutions_of_every_lessons_first_two_exercises_are_tried():
    lessons = read_lessons(ROOT / "notebooks")
    assert set(SOLVED) == {each.name for lesson in lessons for each in lesson.exercises[:2]}
    assert len(SOLVED) == 2 * len(lessons)


@pytest.mark.parametrize(
    ("wrong", "hint"), CASES, ids=[f"{wrong.exercise}-{hint[:40]}" for wrong, hint in CASES]
)
def test_a_wrong_answer_is_rejected_with_its_own_hint(wrong, hint):
    verdict = wrong.verdict_on(wrong.answers[hint])
    assert not verdict.passed and verdict.attempted
    assert hint in verdict.message
    assert "cannot read this answer" not in verdict.message


@pytest.mark.parametrize("exercise", EXERCISES)
def test_no_two_wrong_answers_get_the_same_sentence(exercise):
    said = [w.verdict_on(answer).message for w in WRONG if w.exercise == exercise
            for answer in w.answers.values()]  # fmt: skip
    # Nor sentences that differ only in their numbers.
    assert len({re.sub(r"\d", "", message) for message in said}) == len(said)


@pytest.mark.parametrize("exercise", SOLVED)
def test_the_solution_passes_quickly_and_again_and_is_left_as_it_was(exercise):
    answer = SOLVED[exercise]
    before = dict(vars(answer))
    for _ in range(2):
        start = time.process_time()  # other programs' time is not counted
        verdict = getattr(checks, exercise)(answer)
        assert verdict.passed, verdict
        assert time.process_time() - start < TIME_LIMIT / 2
    assert dict(vars(answer)) == before


@pytest.mark.parametrize(
    "wrong", [w for w in WRONG if w.right is not None], ids=lambda w: w.exercise
)
def test_a_fair_table_passes_and_neither_table_nor_model_is_changed(wrong):
    table, facts = copy.deepcopy(wrong.right), copy.deepcopy(wrong.facts)
    # Rounding, tensors, another order of rows, more columns, an index: none is a mistake.
    other = wrong.right.sample(frac=1, random_state=0).assign(note="mine").round(3)
    losses = next(column for column in reversed(wrong.right.columns) if "loss" in column)
    tensors = wrong.right.assign(**{losses: [torch.tensor(v) for v in wrong.right[losses]]})
    indexed = wrong.right.set_index(wrong.right.columns[0])
    for answer in (wrong.right, other, tensors, indexed):
        verdict = getattr(checks, wrong.exercise)(answer, *wrong.facts)
        assert verdict.passed, verdict
    pd.testing.assert_frame_equal(wrong.right, table)
    for fact, kept in zip(wrong.facts, facts, strict=True):
        if isinstance(fact, nn.Module):
            assert all(map(torch.equal, fact.state_dict().values(), kept.state_dict().values()))


def by_halves(sample, text):
    """A look at all stretches of one length rules out half of the lengths."""
    short, long, best = 0, len(sample), ""
    while short < long:
        n = (short + long + 1) // 2
        there = {text[i : i + n] for i in range(len(text) - n + 1)}
        stretches = (sample[i : i + n] for i in range(len(sample) - n + 1))
        found = next((stretch for stretch in stretches if stretch in there), None)
        short, long, best = (short, n - 1, best) if found is None else (n, long, found)
    return best


ALSO_RIGHT = {
    "likeliest_next": lambda probs, tokenizer, ch, k: sorted(
        [(c, probs[tokenizer.stoi[ch], i]) for c, i in tokenizer.stoi.items()],
        key=lambda pair: -pair[1])[:k],
    "perplexity": lambda model, data: model(data[None, :-1], data[None, 1:])[1].exp(),
    "band_shares": lambda T: [
        [(s in (t - 1, t)) / (1 if t == 0 else 2) for s in range(T)] for t in range(T)],
    "average_by_cumsum": lambda x: torch.stack(
        [x[:, : t + 1].double().mean(dim=1) for t in range(x.shape[1])], dim=1),
    "head_sizes": lambda C, nh: [C // nh, 3 * C**2, range(C - C // nh, C)],
    "relu_unit": lambda: (torch.tensor([1, -2, 1]), torch.tensor([-1])),
    "attention_without_einops": lambda module, x: module(x),
    "head_by_loops": lambda head, x: head(x),
    "blocks_until_lost": lambda g, f, s: next(n for n in range(99) if g * f**n < s),
    "layer_norm_row": lambda row: nn.functional.layer_norm(torch.tensor(row), (len(row),)),
    "RMSNorm": lambda n_embd, eps=1e-5: nn.RMSNorm(n_embd, eps=eps),
    "hand_over": lambda counts, discount: [
        torch.tensor([max(c - discount, 0) / max(sum(counts), 1) for c in counts]),
        1 - sum(max(c - discount, 0) for c in counts) / max(sum(counts), 1)],
    "longest_copy": by_halves,
}  # fmt: skip


@pytest.mark.parametrize("exercise", ALSO_RIGHT)
def test_what_is_written_in_another_way_passes_too(exercise):
    verdict = getattr(checks, exercise)(ALSO_RIGHT[exercise])
    assert verdict.passed, verdict


def stub(*args):
    raise NotImplementedError


class StubOfAClass(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        raise NotImplementedError


class StubOfForward(ResidualBlock):
    """As in lesson 6: `__init__` is given."""

    def __init__(self, n_embd, n_head=2, drop=0.1):
        super().__init__(n_embd, n_head)

    def forward(self, x):
        raise NotImplementedError


def test_a_stub_of_forward_alone_is_not_attempted():
    assert not checks.StochasticDepthBlock(StubOfForward).attempted


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_untouched_stub_is_not_attempted_and_raises_nothing(exercise):
    wrong, look = EXERCISES[exercise], getattr(checks, exercise)
    answer = StubOfAClass if exercise[0].isupper() else stub
    if wrong.right is not None:
        answer = checks.attempt(stub)
    verdict = look(answer, *wrong.facts)
    assert not verdict.passed and not verdict.attempted
    assert "not attempted" in str(verdict) and "not attempted" in verdict._repr_html_()


def test_a_missing_forward_is_a_mistake_and_not_a_stub():
    class NoForward(nn.Module):
        def __init__(self, n_embd, eps=1e-5):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(n_embd))

    verdict = checks.RMSNorm(NoForward)
    assert verdict.attempted and "forward" in verdict.message


def sizes_of(*args) -> list:
    return [
        tuple(a.shape) if isinstance(a, torch.Tensor) else getattr(a, "vocab_size", a)
        for a in args
        if not isinstance(a, nn.Module)
    ]


def spoiled(value):
    """The same in form, with other numbers."""
    if isinstance(value, tuple | list):
        return type(value)(spoiled(part) for part in value)
    return value if isinstance(value, str) else value * 1.5 + 1


@pytest.mark.parametrize("exercise", sorted(set(SOLVED) - {"relu_unit", "StochasticDepthBlock"}))
def test_what_is_right_in_the_first_case_alone_does_not_pass(exercise):
    answer, seen = SOLVED[exercise], []

    def maybe_spoiled(out, *args):
        seen.append(sizes_of(*args))
        if seen[0] == seen[-1]:
            return out
        return out + "?" if isinstance(out, str) else spoiled(out)

    class Module(answer if isinstance(answer, type) else nn.Module):
        def forward(self, x):
            return maybe_spoiled(super().forward(x), x)

    def function(*args):
        return maybe_spoiled(answer(*args), *args)

    verdict = getattr(checks, exercise)(Module if isinstance(answer, type) else function)
    assert not verdict.passed and verdict.message.startswith("Right for"), verdict


@pytest.mark.slow
def test_every_sentence_that_a_check_knows_is_earned_by_a_wrong_answer():
    said = " ".join(w.verdict_on(answer).message for w in WRONG for answer in w.answers.values())
    unsaid = []
    for path in (ROOT / "lessons" / "checks").glob("*.py"):
        dicts = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Dict)]
        keys = [key.value for d in dicts for key in d.keys if isinstance(key, ast.Constant)]
        unsaid += [k for k in keys if isinstance(k, str) and " " in k and k not in said]
    assert unsaid == []


@torch.no_grad()
def decorated(x):
    raise NotImplementedError


def test_a_decorated_stub_is_a_stub():
    assert not checks.average_by_cumsum(decorated).attempted


def test_an_answer_that_would_end_the_notebook_does_not():
    assert "SystemExit" in checks.average_by_cumsum(lambda x: sys.exit()).message


def raises(x):
    return x.no_such_method()


def endless(x):
    while True:
        with contextlib.suppress(Exception):
            x = x + 0


def asleep(x):
    time.sleep(4)


def test_the_decay_by_loops_is_that_of_adamw():
    p = nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.AdamW([p], lr=0.1, weight_decay=0.3)
    for _ in range(5):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert p.item() == pytest.approx(SOLVED["weight_after"](2.0, 5, 0.1, 0.3))


@pytest.mark.parametrize(("answer", "clock"), [
    (endless, time.process_time),  # what other programs take of this machine is not counted
    (asleep, time.perf_counter),
])  # fmt: skip
def test_an_endless_answer_is_given_up_on(answer, clock):
    start = clock()
    verdict = checks.average_by_cumsum(answer)
    assert not verdict.passed and "loop that never ends" in verdict.message
    assert clock() - start < TIME_LIMIT + 1


def test_an_answer_that_raises_is_explained_in_one_sentence_with_its_line():
    verdict = checks.average_by_cumsum(raises)
    assert "`return x.no_such_method()`" in verdict.message
    assert "AttributeError" in verdict.message and "\n" not in str(verdict)
    assert "takes 0 positional arguments" in checks.average_by_cumsum(lambda: 1).message


@pytest.mark.parametrize(("answer", "hint"), [
    (lambda x: None, "returned None"),
    (lambda x: "three", "neither a number nor a tensor"),
    (lambda x: object(), "neither a number nor a tensor"),
    (7, "This is 7, and neither a function nor a class"),
])  # fmt: skip
@pytest.mark.parametrize("exercise", ["average_by_cumsum", "band_shares"])
def test_an_odd_answer_gets_a_sentence_too(exercise, answer, hint):
    assert hint in getattr(checks, exercise)(answer).message


def test_a_check_leaves_the_global_random_states_as_they_were():
    def draw():
        return [random.random(), np.random.rand(), torch.rand(()).item()]

    def start():
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)

    start()
    expected = draw()
    start()
    checks.StochasticDepthBlock(SOLVED["StochasticDepthBlock"])
    checks.average_by_cumsum(lambda x: torch.tensor(draw()))
    assert draw() == expected


@pytest.mark.parametrize(("experiment", "hint"), [
    (lambda: 1 / 0, "ZeroDivisionError at `(lambda: 1 / 0, "),
    (lambda: None, "end it with `return`"),
    (lambda: nn.Module()(1), "forward"),  # PyTorch's own NotImplementedError
])  # fmt: skip
def test_an_experiment_that_fails_or_returns_nothing_is_reported_by_its_check(experiment, hint):
    verdict = checks.rescue_experiment(checks.attempt(experiment))
    assert verdict.attempted and not verdict.passed and hint in verdict.message


def test_a_verdict_shows_its_sentence_and_escapes_markup_in_it():
    @check
    def picky(answer):
        """Never satisfied."""
        raise Mistake("`a < b` & more")

    verdict = picky(1)
    assert str(verdict) == "picky: not yet. `a < b` & more"
    assert "<code>a &lt; b</code> &amp; more" in verdict._repr_html_()
