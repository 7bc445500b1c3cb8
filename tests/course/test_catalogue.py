"""What is known of the lessons is read from their notebooks, however many there are."""

from pathlib import Path

from lessons.course.catalogue import lesson_paths, read_lesson, read_lessons, solutions_of
from lessons.errors import BadInput

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

pytestmark = pytest.mark.lint

STUB = 'def count() -> int:\n    """Example: 3"""\n    raise NotImplementedError'
MINUTES = {"gpt_ladder": {"minutes": {"lesson": 40, "exercises": 5}}}


def write_lesson(path: Path, *left_out: str, number: int | None = None) -> Path:
    """A small lesson in this file, without the things left out; its title has this number."""
    parts = {
        "title": new_markdown_cell(f"[badge](…)\n\n# Lesson {number or int(path.name[:2])} · More"),
        "abstract": new_code_cell(
            "class Base:\n    def f(self):\n        raise NotImplementedError"
        ),
        "heading": new_markdown_cell("## Exercises\n\nReplace `raise NotImplementedError`."),
        "exercise": new_markdown_cell("**1 · Warm-up (5 minutes).** Count (for 3 minutes)."),
        "stub": new_code_cell(STUB),
    }
    cells = [cell for part, cell in parts.items() if part not in left_out]
    metadata = {} if "minutes" in left_out else MINUTES
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_a_lesson_with_two_digits_is_read_like_the_others(tmp_path):
    lesson = read_lesson(write_lesson(tmp_path / "12_more.ipynb"))
    assert (lesson.number, lesson.heading) == (12, "Lesson 12 · More")
    assert (lesson.minutes, lesson.exercise_minutes) == (40, 5)
    (exercise,) = lesson.exercises
    assert (exercise.name, exercise.minutes, exercise.stub) == ("count", 5, STUB)
    assert solutions_of(lesson.path) == tmp_path / "solutions" / "12_more_solutions.ipynb"


def test_lessons_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 9, 1, 3, 11, 4, 8, 5, 7, 6):
        write_lesson(tmp_path / f"{number:02d}_{'abcdefghijk'[-number]}.ipynb")
    write_lesson(tmp_path / "Untitled.ipynb", number=1)  # a reader's own
    assert [lesson.number for lesson in read_lessons(tmp_path)] == list(range(1, 12))


@pytest.mark.parametrize("numbers", [(1, 3), (2,), (1, 2, 2), (9, 10)])
def test_numbers_with_a_gap_or_twice_the_same_are_refused(numbers, tmp_path):
    for place, number in enumerate(numbers):
        (tmp_path / f"{number:02d}_{place}.ipynb").touch()
    with pytest.raises(BadInput, match=r"without a gap, and \d\d_\d.ipynb is number \d of"):
        lesson_paths(tmp_path)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("title", "has no title: begin its text with `# Lesson 10 · …`"),
        ("minutes", 'lacks "gpt_ladder": {"minutes": {"lesson": …}} in its metadata'),
        ("stub", "minutes for 1 exercises, but has 0 stubs"),
        ("exercise", "minutes for 0 exercises, but has 1 stubs"),
    ],
)
def test_a_notebook_that_lacks_something_is_named_with_it(part, sentence, tmp_path):
    path = write_lesson(tmp_path / "10_more.ipynb", part)
    with pytest.raises(BadInput) as refused:
        read_lesson(path)
    assert sentence in str(refused.value) and "10_more.ipynb" in str(refused.value)


def test_a_title_with_another_number_than_the_file_is_refused(tmp_path):
    with pytest.raises(BadInput, match="`# Lesson 10 · …`"):
        read_lesson(write_lesson(tmp_path / "10_more.ipynb", number=1))
