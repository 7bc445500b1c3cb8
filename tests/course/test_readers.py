"""What a notebook owes a slow reader who has never seen PyTorch: minutes, short versions, words."""

import ast
import re

from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.course.taught import definitions

import nbformat
import pytest
import torch
import torch.nn as nn
from torch.optim.swa_utils import AveragedModel

pytestmark = pytest.mark.lint
LESSONS = lesson_paths(ROOT / "notebooks")
# The lessons in which PyTorch is met for the first time.
FIRST = LESSONS[:4]


def cells_of(path, kind: str | None = None) -> list:
    """The cells below the setup cell, of one type or of both."""
    cells = nbformat.read(path, as_version=4).cells[2:]
    return [cell for cell in cells if kind in (None, cell.cell_type)]


def without_exercises(path) -> list:
    """What is read and run: the cells up to the exercises, and the recap."""
    cells = cells_of(path)
    exercises, recap = (
        next(n for n, cell in enumerate(cells) if cell.source.startswith(f"## {heading}"))
        for heading in ("Exercises", "Recap")
    )
    return cells[:exercises] + cells[recap:]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_minutes_are_those_of_a_slow_reader(path):
    """Of one who needed 75 for lesson 1: a minute for 100 words, 10 lines, a question, a figure."""
    lesson = without_exercises(path)
    prose = [cell.source for cell in lesson if cell.cell_type == "markdown"]
    code = [cell for cell in lesson if cell.cell_type == "code"]
    minutes = sum(len(text.split()) for text in prose) / 100
    minutes += sum(len(cell.source.splitlines()) for cell in code) / 10
    minutes += sum("**Predict.**" in text or "**Guess.**" in text for text in prose)
    minutes += sum("image/png" in out.get("data", {}) for cell in code for out in cell.outputs)
    notebook = nbformat.read(path, as_version=4)
    assert minutes <= notebook.metadata["gpt_ladder"]["minutes"]["lesson"] <= minutes + 20


@pytest.mark.parametrize("path", FIRST, ids=lambda path: path.stem)
def test_a_long_function_or_class_is_shown_short_first(path):
    shown = {}
    for cell in cells_of(path, "code"):
        for name, (first, end) in definitions(cell.source).items():
            shown.setdefault(name, end - first)
    assert [name for name, lines in shown.items() if lines > 25] == []


def operations() -> set[str]:
    """The names that PyTorch gives to what it does, but for those that NumPy's readers know."""
    owners = [torch, torch.Tensor, torch.Generator, torch.optim, torch.optim.Optimizer,
              nn, nn.Module, nn.init, nn.functional, AveragedModel]  # fmt: skip
    known = {"Tensor", "T", "abs", "bool", "exp", "float", "int", "log", "max", "mean", "min",
             "ones", "round", "shape", "sqrt", "sum", "zeros", "weight", "bias"}  # fmt: skip
    # Of Python and pandas, names of modules, and what a comment in the cell explains.
    others = {"index", "isin", "optim", "testing", "set_num_threads"}
    names = {name for owner in owners for name in dir(owner) if not name.startswith("_")}
    return names - known - others


def test_an_operation_of_pytorch_is_named_in_the_text_where_it_first_appears():
    unseen, named = operations(), set()
    for path in FIRST:
        lesson = without_exercises(path)
        for cell, following in zip(lesson, lesson[1:], strict=False):
            texts = [c.source for c in (cell, following) if c.cell_type == "markdown"]
            quoted = re.findall(r"`([^`\n]+)`", "\n".join(texts))
            named |= set(re.findall(r"\w+", " ".join(quoted)))
            if cell.cell_type == "code":
                comments = " ".join(re.findall(r"^ *#(.*)$", cell.source, re.MULTILINE))
                nodes = ast.walk(ast.parse(cell.source))
                used = {node.attr for node in nodes if isinstance(node, ast.Attribute)} & unseen
                silent = used - named - set(re.findall(r"\w+", comments))
                assert not silent, f"{path.name}, {cell.id}: say what {sorted(silent)} does"
                unseen -= used


def test_what_a_softmax_gives_is_not_called_weights():
    notebooks = [*LESSONS, *map(solutions_of, LESSONS)]
    texts = [cell.source for path in notebooks for cell in cells_of(path, "code")]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "lessons").glob("*.py")]
    names = {name for text in texts for name in re.findall(r"(\w+) = .*\bsoftmax\(", text)}
    # The field's name for them in attention, which lesson 3 explains.
    assert "shares" in names and "attn_weights" in names
    assert {name for name in names if "weight" in name} == {"attn_weights"}
