"""What a check makes of stubs, other errors, loops, imports, traces and odd results."""

import functools
import gc
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from lessons import checks
from lessons.batches import get_batch
from lessons.checks.verdict import LONGEST
from lessons.errors import BadInput
from lessons.evaluation import full_loss
from test_checks import SOLVED

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[2]


def average(x):
    return x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]


# Stubs, and errors that look like one.


def stub(*args):
    raise NotImplementedError


def stub_of_an_instance(*args):
    raise NotImplementedError()


def undeclared(function):
    """A decorator without functools.wraps."""

    def wrapper(*args):
        return function(*args)

    return wrapper


class Stub:
    def __call__(self, *args):
        return self.part()

    def part(self, *args):
        raise NotImplementedError


def with_a_message(*args):
    raise NotImplementedError("later")


def softmax_of_integers(*args):
    return torch.arange(3).softmax(-1)


def raised_again(*args):
    try:
        return F.softmax(torch.arange(3), dim=-1)
    except NotImplementedError as error:
        raise error


def raised_instead(*args):
    try:
        return 1 / 0
    except ZeroDivisionError:
        raise NotImplementedError  # noqa: B904


def with_a_helper(*args):
    return stub(*args)


STUBS = [
    stub, stub_of_an_instance, functools.partial(stub), functools.cache(stub), Stub(), Stub().part,
    undeclared(stub), torch.no_grad()(stub),
]  # fmt: skip
ERRORS = [with_a_message, softmax_of_integers, raised_again, raised_instead, with_a_helper]


@pytest.mark.parametrize("answer", STUBS)
def test_a_bare_raise_in_the_answer_itself_is_a_stub(answer):
    assert not checks.band_shares(answer).attempted
    assert not checks.rescue_experiment(checks.attempt(answer)).attempted


@pytest.mark.parametrize("answer", ERRORS)
def test_any_other_not_implemented_error_is_the_answers_mistake(answer):
    with pytest.raises(RuntimeError) as raised:  # of which NotImplementedError is a kind
        answer()
    for verdict in (
        checks.band_shares(answer),
        checks.rescue_experiment(checks.attempt(answer)),
    ):
        assert verdict.attempted and not verdict.passed
        assert f"your code raised {raised.type.__name__}" in verdict.message


class NoForward(SOLVED["RMSNorm"]):
    forward = nn.Module.forward


class MethodIsAStub(SOLVED["RMSNorm"]):
    def forward(self, x):
        return self.mean_square(x)

    def mean_square(self, x):
        raise NotImplementedError


def test_of_a_class_the_stub_may_be_any_method_and_a_missing_forward_is_named():
    assert not checks.RMSNorm(MethodIsAStub).attempted
    assert "`NoForward` has no method `forward`" in checks.RMSNorm(NoForward).message
    assert "has no method `forward`" in checks.average_by_cumsum(lambda x: nn.Module()(x)).message


@pytest.mark.parametrize(("experiment", "hint"), [
    (functools.partial(int, "x"), "raised ValueError"),
    (lambda: 1 / 0, "Calling it without `attempt` shows"),
    (with_a_message, "`with_a_message()` by itself shows"),
    (sys.exit, "raised SystemExit"),
    (7, "was given 7, and not a function"),
    (None, "was given None, and not a function"),
    (pd.DataFrame({"a": range(500)}), "and not a function"),
    (lambda: stub, "This is a function, and not its table"),
])  # fmt: skip
def test_attempt_has_a_sentence_for_whatever_it_is_given(experiment, hint):
    message = checks.rescue_experiment(checks.attempt(experiment)).message
    assert hint in message and "\n" not in message and len(message) < 250


# The clock.


def caught_once(x):
    try:
        while True:
            pass
    except BaseException:
        return average(x)


def caught_in_the_loop(x):
    while True:
        try:
            x = x + 0
        except BaseException:
            continue


def imports_all_the_time(x):
    while True:
        import json  # noqa: F401


@pytest.mark.parametrize("answer", [caught_once, caught_in_the_loop, imports_all_the_time])
def test_an_endless_answer_that_catches_everything_ends_too(answer):
    message = checks.average_by_cumsum(answer).message
    assert "a loop that never ends?" in message and "still running" not in message


def test_what_cannot_be_ended_is_said_to_run_on():
    message = checks.average_by_cumsum(lambda x: time.sleep(10)).message
    assert message.endswith("It is still running: restart the kernel.")


COLD = """
import sys; sys.path.insert(0, {folder!r})
from lessons import checks
import torch, torch.nn as nn

def average(x):
    return x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]

def step(weight, steps, rate, decay):
    p = nn.Parameter(torch.tensor(weight))
    optimizer = torch.optim.AdamW([p], lr=rate, weight_decay=decay)
    for _ in range(steps):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    return p.item()

def heavy(x):
    import heavy
    nn.Linear(2, 2, device="meta")(torch.ones(1, 2, device="meta"))
    return average(x)

def loop(x):
    import torch._dynamo
    while True:
        x = x + 0

{check}
step(1.0, 1, 0.1, 0.1), heavy(torch.ones(1, 1, 1)), torch.use_deterministic_algorithms(True)
torch.compile(average, backend="eager")(torch.ones(1, 2, 3))
"""


@pytest.mark.slow
@pytest.mark.parametrize("check", [
    "verdict = checks.weight_after(step); assert verdict.passed, verdict",
    "verdict = checks.average_by_cumsum(heavy); assert verdict.passed, verdict",
    "message = checks.average_by_cumsum(loop).message; assert 'never ends?' in message, message",
])  # fmt: skip
def test_in_a_cold_process_no_import_is_interrupted_or_counted(check, tmp_path):
    wait = (
        "import time\nend = time.process_time() + 2\nwhile time.process_time() < end:\n    pass\n"
    )
    (tmp_path / "heavy.py").write_text(wait, encoding="utf-8")
    script = COLD.format(folder=str(tmp_path), check=check)
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# Sizes that do not fit.


def uncropped(head, x):
    q, k, v = head.query(x), head.key(x), head.value(x)
    scores = q @ k.transpose(-2, -1) / k.shape[-1] ** 0.5
    return scores.masked_fill(head.tril == 0, float("-inf")).softmax(-1) @ v


def fixed(size):
    """Attention whose mask is made for so many positions."""

    def answer(module, x):
        return average(torch.ones(size, size).tril() * torch.ones(x.shape[1], x.shape[1]))

    return answer


class NoKeepdim(SOLVED["RMSNorm"]):
    def forward(self, x):
        return x / (x.pow(2).mean(-1) + 1e-5).sqrt()


class NoKeepdimInNumpy(NoKeepdim):
    def forward(self, x):
        x = x.numpy()
        return x / np.sqrt((x**2).mean(-1) + 1e-5)


class Unfit(SOLVED["GatedFeedForward"]):
    def forward(self, x):
        return super().forward(x) + torch.ones(9)


@pytest.mark.parametrize(("exercise", "answer", "hint"), [
    ("head_by_loops", uncropped, "[:T, :T]"),
    ("attention_without_einops", fixed(16), "[:T, :T]"),
    ("band_shares", lambda T: torch.ones(T, T) * torch.ones(8, 8), "[:T, :T]"),
    ("RMSNorm", NoKeepdim, "keepdim"),
    ("RMSNorm", NoKeepdimInNumpy, "keepdim"),
    ("GatedFeedForward", Unfit, None),
    ("layer_norm_row", lambda row: torch.tensor(row) + torch.ones(9), None),
    ("average_by_cumsum", lambda x: x + torch.ones(9), None),
    ("average_by_cumsum", lambda x: x @ torch.ones(9, 9), None),
])  # fmt: skip
def test_a_hint_on_sizes_is_given_where_it_is_the_cause(exercise, answer, hint):
    message = getattr(checks, exercise)(answer).message
    assert "RuntimeError" in message or "ValueError" in message
    said = {word for word in ("[:T, :T]", "keepdim") if word in message}
    assert said == ({hint} if hint else set())


# What an answer leaves behind.


def then(exercise, leave):
    """The solution, and then something that it leaves behind."""

    def answer(*inputs):
        out = SOLVED[exercise](*inputs)
        leave(*inputs)
        return out

    return answer


@pytest.mark.parametrize(("exercise", "leave"), [
    ("perplexity", lambda m, d: m.eval()),
    ("perplexity", lambda m, d: m.token_embedding.eval()),
    ("perplexity", lambda m, d: m.requires_grad_(False)),
    ("perplexity", lambda m, d: m(d[None, :-1], d[None, 1:])[1].backward()),
    ("perplexity", lambda m, d: m.double()),
    ("perplexity", lambda m, d: m.to("meta")),
    ("perplexity", lambda m, d: m.register_forward_hook(print)),
    ("perplexity", lambda m, d: m.token_embedding.weight.register_hook(print)),
    ("perplexity", lambda m, d: m.register_buffer("seen", torch.ones(1), persistent=False)),
    ("perplexity", lambda m, d: setattr(m, "forward", print)),
    ("perplexity", lambda m, d: m.add_module("more", nn.ReLU())),
    ("head_by_loops", lambda m, x: m.tril.zero_()),
    ("head_by_loops", lambda m, x: x.requires_grad_()),
    ("attention_without_einops", lambda m, x: setattr(m, "n_head", 9)),
    ("average_by_cumsum", lambda x: setattr(x, "data", x.double())),
    ("likeliest_next", lambda p, tokenizer, ch, k: tokenizer.stoi.update({"?": 9})),
    ("likeliest_next", lambda p, tokenizer, ch, k: setattr(tokenizer, "note", 1)),
    ("layer_norm_row", lambda row: row.append(0.0)),
    ("layer_norm_row", lambda row: row.__setitem__(0, torch.tensor(row[0]))),
    ("gpt2_parameters", lambda shape: object.__setattr__(shape, "n_layer", 9)),
])  # fmt: skip
def test_nothing_that_an_answer_changes_in_its_inputs_goes_unseen(exercise, leave):
    assert "it changed its input" in getattr(checks, exercise)(then(exercise, leave)).message


def process() -> list:
    third = [1 / 3]
    return [
        torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(),
        torch.is_anomaly_enabled(), torch.get_float32_matmul_precision(), repr(torch.tensor(third)),
        repr(np.array(third)), np.geterr(), repr(pd.DataFrame(third)), list(warnings.filters),
        logging.root.level, sys.stdout, list(sys.path), dict(os.environ), os.getcwd(),
        torch.get_rng_state().tolist(),
    ]  # fmt: skip


@pytest.mark.parametrize("setting", [
    lambda: torch.set_default_dtype(torch.float64),
    lambda: torch.use_deterministic_algorithms(True),
    lambda: torch.autograd.set_detect_anomaly(True),
    lambda: torch.set_grad_enabled(False),
    lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    lambda: torch.set_float32_matmul_precision("medium"),
    lambda: torch.set_printoptions(precision=1),
    lambda: np.set_printoptions(precision=1),
    lambda: np.seterr(all="raise"),
    lambda: pd.set_option("display.precision", 1),
    lambda: warnings.simplefilter("error"),
    lambda: logging.root.setLevel(10),
    lambda: setattr(sys, "stdout", None),
    lambda: sys.path.append("elsewhere"),
    lambda: os.environ.update(SET_BY="an answer"),
    lambda: os.chdir("/"),
])  # fmt: skip
def test_what_an_answer_sets_for_the_whole_process_is_put_back(setting):
    before = process()
    assert checks.average_by_cumsum(lambda x: (setting(), average(x))[1]).passed
    assert "ZeroDivisionError" in checks.average_by_cumsum(lambda x: (setting(), 1 / 0)).message
    assert checks.attempt(setting) is not None
    assert process() == before


def leave_for_nowhere():
    folder = Path(tempfile.mkdtemp())
    os.chdir(folder)
    folder.rmdir()


@pytest.mark.parametrize("setting", [
    leave_for_nowhere,
    lambda: vars(os).pop("environ", None),
    lambda: setattr(os, "environ", {"A": torch.ones(2)}),
    lambda: setattr(sys, "path", None),
    lambda: sys.path.append(torch.ones(2)),
    lambda: vars(sys).pop("stdout", None),
    lambda: vars(torch._tensor_str.PRINT_OPTS).clear(),
    lambda: setattr(warnings, "filters", 7),
    lambda: setattr(logging.root, "level", "loud"),
])  # fmt: skip
def test_what_can_no_longer_be_read_is_put_back_with_all_the_rest(setting):
    def spoil():
        np.set_printoptions(precision=1)
        torch.set_default_dtype(torch.float64)
        setting()
        sys.setrecursionlimit(4321)
        gc.disable()

    before = [process(), sys.getrecursionlimit(), gc.isenabled()]
    verdict = checks.average_by_cumsum(lambda x: (average(x), spoil())[0])
    assert verdict.passed and "cannot be put back" not in verdict.message, verdict
    assert [process(), sys.getrecursionlimit(), gc.isenabled()] == before
    checks.attempt(spoil)
    assert [process(), sys.getrecursionlimit(), gc.isenabled()] == before


@pytest.fixture
def lose_the_folder(tmp_path, monkeypatch):
    """What deletes the folder in which a check is called, and then sets something more."""

    def lose():
        shutil.rmtree(tmp_path / "mine")
        os.chdir("/")
        sys.setrecursionlimit(4321)
        gc.disable()

    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    return lose


def test_a_folder_that_an_answer_deletes_is_named_and_the_rest_put_back(lose_the_folder):
    before = sys.getrecursionlimit()

    def answer(x):
        if os.getcwd() != "/":
            lose_the_folder()
        return average(x)

    verdict = checks.average_by_cumsum(answer)
    assert verdict.passed and "Right in every case. Something that it changed" in verdict.message
    assert "cannot be put back (FileNotFoundError" in verdict.message
    assert sys.getrecursionlimit() == before and gc.isenabled()


def test_a_folder_that_an_experiment_deletes_is_named_and_its_table_kept(lose_the_folder, capsys):
    before = sys.getrecursionlimit()
    assert checks.attempt(lambda: (lose_the_folder(), 7)[1]) == 7
    assert "cannot be put back (FileNotFoundError" in capsys.readouterr().err
    assert sys.getrecursionlimit() == before and gc.isenabled()


def test_in_a_folder_that_is_gone_a_check_works(lose_the_folder, tmp_path):
    (tmp_path / "mine").rmdir()
    verdict = checks.average_by_cumsum(average)
    assert str(verdict) == "average_by_cumsum: passed. Right in every case."


# Whose BadInput it is.


def too_long(*args):
    raise BadInput("9 tokens do not fit a context of 8: crop them.")


class TooLongInTheEnd(SOLVED["StochasticDepthBlock"]):
    calls = 0

    def forward(self, x):
        TooLongInTheEnd.calls += 1
        return super().forward(x) if self.calls < 100 else too_long()


@pytest.mark.parametrize(("exercise", "answer"), [
    ("average_by_cumsum", too_long),
    ("perplexity", lambda model, data: full_loss(model, data[:1], 8)),
    ("average_by_cumsum", lambda x: get_batch(x[0, :, 0], 2, 8)),
    ("StochasticDepthBlock", TooLongInTheEnd),
])  # fmt: skip
def test_what_an_answer_provokes_is_the_answers(exercise, answer):
    verdict = getattr(checks, exercise)(answer)
    assert verdict.word == "not yet" and "our code raised BadInput at" in verdict.message, verdict
    table = checks.attempt(lambda: too_long())
    assert "your code raised BadInput" in checks.rescue_experiment(table, "text").message


# Odd results, and right ones in another form.


@pytest.mark.parametrize(("make", "hint"), [
    (lambda right: right + 0j, "complex"),
    (lambda right: right.numpy() * (1 + 1j), "complex"),
    (lambda right: (right + 0j).tolist(), "complex"),
    (lambda right: right.to("meta"), "without numbers"),
    (lambda right: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "nested"),
    (lambda right: 100_000 * ["word"], "neither a number"),
    (lambda right: 100_000 * "word\n", "neither a number"),
    (lambda right: pd.DataFrame({"word": 100 * ["a\nb"]}), "neither a number"),
    (lambda right: 10**400, "neither a number"),
    (lambda right: [[1, 2], [3]], "neither a number"),
])  # fmt: skip
@pytest.mark.parametrize("exercise", ["average_by_cumsum", "band_shares"])
def test_an_odd_result_gets_a_short_sentence(exercise, make, hint):
    message = getattr(checks, exercise)(lambda given: make(SOLVED[exercise](given))).message
    assert hint in message and "\n" not in message and len(message) < 200


def test_no_sentence_is_longer_than_a_reader_reads():
    def loud(x):
        raise ValueError("very " * 100_000)

    assert len(checks.average_by_cumsum(loud).message) <= LONGEST
    verdict = checks.likeliest_next(lambda *inputs: [("x" * 100_000, 0.5), ("y", 0.1)])
    assert not verdict.passed and len(verdict.message) <= LONGEST


@pytest.mark.parametrize("make", [
    torch.Tensor.to_sparse, torch.Tensor.tolist, torch.Tensor.numpy, list, torch.Tensor.half,
    lambda right: [row.numpy() for row in right], lambda right: right.clone().requires_grad_(),
])  # fmt: skip
def test_a_right_result_may_have_any_form(make):
    verdict = checks.band_shares(lambda T: make(SOLVED["band_shares"](T)))
    assert verdict.passed, verdict


def test_a_check_that_is_called_with_other_facts_says_what_it_takes():
    table = pd.DataFrame()
    for said in (checks.rescue_experiment(table), checks.rescue_experiment(table, "text", 65),
                 checks.rescue_experiment(table, train_data="text")):  # fmt: skip
        assert "takes `answer`, `text`, and was given something else" in said.message
    assert "The table has 0 columns" in checks.rescue_experiment(table, text="text").message


# The last case of each check: T = 1, or the docstring's example.


@pytest.mark.parametrize(("exercise", "special"), [
    ("band_shares", lambda T: T in (1, 2)),
    ("average_by_cumsum", lambda x: x.shape[1] == 1),
    ("one_query", lambda query, keys, values: len(keys) == 1),
    ("one_query", lambda query, keys, values: not query.any()),
    ("head_by_loops", lambda head, x: x.shape[1] == 1),
    ("attention_without_einops", lambda module, x: x.shape[1] == 1),
    ("head_sizes", lambda C, nh: (C, nh) == (4, 2)),
    ("head_sizes", lambda C, nh: nh == 1),
    ("perplexity", lambda model, data: len(data) == 2),
    ("perplexity", lambda model, data: not model.token_embedding.weight.any()),
    ("likeliest_next", lambda probs, *rest: probs[0, 1] == 0.6),
    ("likeliest_next", lambda probs, tokenizer, *rest: "z" in tokenizer.stoi),
    ("blocks_until_lost", lambda *inputs: inputs == (1.0, 0.5, 0.25)),
    ("layer_norm_row", lambda row: len(row) == 1),
    ("layer_norm_row", lambda row: row == [1.0, 3.0]),
    ("gpt2_parameters", lambda shape: shape.block_size == 1),
    ("gpt2_parameters", lambda shape: shape.vocab_size == 2),
    ("weight_after", lambda weight, *rest: weight == 8.0),
    ("hand_over", lambda counts, discount: not counts),
    ("hand_over", lambda counts, discount: counts == [3, 1, 0]),
    ("longest_copy", lambda sample, text: not sample),
    ("longest_copy", lambda sample, text: sample == "the sea she sells"),
])  # fmt: skip
def test_t_of_one_and_the_docstrings_example_are_tried(exercise, special):
    met = []

    def answer(*inputs):
        met.append(special(*inputs))
        return None if met[-1] else SOLVED[exercise](*inputs)

    verdict = getattr(checks, exercise)(answer)
    assert any(met) and not verdict.passed and "returned None" in verdict.message


class OtherWhenClosed(SOLVED["GatedFeedForward"]):
    def forward(self, x):
        return super().forward(x) + (self.gate(x) < 0).all()


class OtherForTwo(SOLVED["RMSNorm"]):
    def forward(self, x):
        return super().forward(x) + (x.shape[-1] == 2)


class OtherWithoutDrop(SOLVED["StochasticDepthBlock"]):
    def forward(self, x):
        return super().forward(x) + (self.drop == 0)


class OtherForOne(SOLVED["StochasticDepthBlock"]):
    def forward(self, x):
        return super().forward(x) + (x.shape[1] == 1)


def test_the_examples_of_the_classes_are_tried():
    assert "below 0" in checks.GatedFeedForward(OtherWhenClosed).message
    assert not checks.RMSNorm(OtherForTwo).passed
    assert not checks.StochasticDepthBlock(OtherWithoutDrop).passed
    assert "T = 1" in checks.StochasticDepthBlock(OtherForOne).message
