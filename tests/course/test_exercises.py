"""Each lesson has three stubs with a check and a hint, and each stub has its solution."""

import ast
from pathlib import Path

from lessons import checks
from lessons.course.catalogue import Lesson, read_lessons, solutions_of

import nbformat
import pytest

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]
LESSONS = read_lessons(ROOT / "notebooks")


@pytest.fixture(params=LESSONS, ids=lambda lesson: lesson.path.stem)
def lesson(request) -> Lesson:
    return request.param


def exercises_of(lesson: Lesson) -> list[list]:
    """For each exercise its stub, its check, and the cell that begins with its hint."""
    cells = nbformat.read(lesson.path, as_version=4).cells
    stubs = [exercise.stub for exercise in lesson.exercises]
    return [cells[n : n + 3] for n, cell in enumerate(cells) if cell.source in stubs]


def solved(lesson: Lesson) -> list:
    """The cells of a lesson's solutions."""
    return nbformat.read(solutions_of(lesson.path), as_version=4).cells


def answer_in(source: str) -> ast.FunctionDef | ast.ClassDef:
    """The function or class that ends a cell."""
    return ast.parse(source).body[-1]


def shown(cell) -> str:
    return "".join(out.get("data", {}).get("text/plain", "") for out in cell.outputs)


def test_an_exercise_is_a_stub_a_check_and_a_folded_hint(lesson):
    exercises = exercises_of(lesson)
    assert len(exercises) == 3
    for (stub, check, hint), exercise in zip(exercises, lesson.exercises, strict=True):
        node = answer_in(stub.source)
        assert node.name == exercise.name
        assert "Example" in ast.get_docstring(node)
        assert left_to_the_reader(node), f"a stub is a docstring and a raise: {node.name}"
        assert f"checks.{node.name}(" in check.source.splitlines()[-1]
        assert hint.source.startswith("<details><summary>Hint</summary>")


def left_to_the_reader(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether it is a docstring and a bare raise, or a class whose methods are, beside __init__."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    if isinstance(node, ast.ClassDef):
        methods = [method for method in body if method.name != "__init__"]
        return bool(methods) and all(map(left_to_the_reader, methods))
    return [ast.unparse(line) for line in body] == ["raise NotImplementedError"]


def test_an_untouched_lesson_says_of_each_exercise_that_it_waits(lesson):
    for stub, check, _ in exercises_of(lesson):
        assert shown(check).startswith(f"{answer_in(stub.source).name}: not attempted.")


def test_the_lessons_have_an_exercise_for_every_check():
    names = [exercise.name for lesson in LESSONS for exercise in lesson.exercises]
    assert len(names) == 3 * len(LESSONS) == len(set(names))
    exported = set(checks.__all__) - {"Verdict", "attempt"}
    assert exported == set(names), f"lessons/checks/__init__.py: {sorted(exported ^ set(names))}"


def promise(node) -> tuple:
    """Name, arguments and docstrings: what a stub and its solution share."""
    functions = [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef)]
    arguments = [(n.name, ast.unparse(n.args), ast.get_docstring(n)) for n in functions]
    bases = [ast.unparse(base) for base in getattr(node, "bases", [])]
    return node.name, ast.get_docstring(node), bases, arguments


def test_a_solution_has_the_form_of_its_stub_and_passed_the_same_check(lesson):
    cells = solved(lesson)
    by_id = {cell.id: cell for cell in cells}
    order = [cell.id for cell in cells]
    for n, (stub, check, _) in enumerate(exercises_of(lesson), 1):
        node = answer_in(stub.source)
        assert promise(answer_in(by_id[f"solution-{n}"].source)) == promise(node)
        lines = by_id[f"check-{n}"].source.splitlines()
        assert lines[-3:] == [
            f"verdict = {check.source.splitlines()[-1]}",
            "assert verdict.passed, verdict",
            "verdict",
        ]
        assert shown(by_id[f"check-{n}"]).startswith(f"{node.name}: passed.")
        assert order.index(f"solution-{n}") < order.index(f"why-{n}")
        assert len(by_id[f"why-{n}"].source.split()) >= 20
