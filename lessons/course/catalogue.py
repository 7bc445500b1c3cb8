"""Plumbing · which lessons there are, and what the notebook of each says about itself."""

import re
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from lessons.course.notebook_file import read_notebook
from lessons.errors import BadInput

import nbformat


@dataclass(frozen=True)
class Exercise:
    """A function or class that the reader writes."""

    name: str  # and that of its check
    minutes: int
    stub: str  # the source of its cell


@dataclass(frozen=True)
class Lesson:
    """A lesson, as its notebook states it."""

    number: int
    path: Path
    title: str
    minutes: int  # to read and run it, without the exercises
    exercises: tuple[Exercise, ...]

    @property
    def heading(self) -> str:
        """Its name with its number, such as Lesson 1 · The bigram."""
        return f"Lesson {self.number} · {self.title}"

    @property
    def exercise_minutes(self) -> int:
        """How long all its exercises take."""
        return sum(exercise.minutes for exercise in self.exercises)


def lesson_paths(notebooks: Path) -> list[Path]:
    """The lessons' notebooks in a folder, in order; BadInput unless they are 01, 02, 03, …"""
    paths = sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))
    for number, path in enumerate(paths, 1):
        if int(path.name[:2]) != number:
            raise BadInput(
                f"Lessons are numbered without a gap, and {path.name} is number {number} of those "
                f"in {notebooks}: rename it, or add the one that is missing."
            )
    return paths


def solutions_of(path: Path) -> Path:
    """Where the exercises of a lesson's notebook are solved."""
    return path.parent / "solutions" / f"{path.stem}_solutions.ipynb"


def read_lesson(path: Path) -> Lesson:
    """What a lesson's notebook states; BadInput if it lacks its title, minutes or exercises."""
    notebook, number = read_notebook(path), int(path.name[:2])
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    title = re.search(rf"^# Lesson {number} · (.+)$", text, re.MULTILINE)
    if not title:
        raise BadInput(f"{path.name} has no title: begin its text with `# Lesson {number} · …`.")
    minutes = notebook.metadata
    for key in ("gpt_ladder", "minutes", "lesson"):
        minutes = minutes.get(key) if isinstance(minutes, dict) else None
    if type(minutes) is not int or minutes < 1:
        raise BadInput(f'{path.name} lacks "gpt_ladder": {{"minutes": {{"lesson": …}}}} in its '
                       "metadata: add it.")  # fmt: skip
    stated = re.findall(r"^\*\*\d+ · .+? \((\d+) minutes\)\.\*\*", text, re.MULTILINE)
    stubs = stubs_of(notebook)
    if len(stated) != len(stubs):
        raise BadInput(f"{path.name} states minutes for {len(stated)} exercises, but has "
                       f"{len(stubs)} stubs: give each exercise both.")  # fmt: skip
    exercises = [
        Exercise(name, int(n), stub) for (name, stub), n in zip(stubs, stated, strict=True)
    ]
    return Lesson(number, path, title[1], minutes, tuple(exercises))


def stubs_of(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Name and source of what the notebook's exercises leave to the reader, in order."""
    stubs = []
    below = dropwhile(lambda cell: not cell.source.startswith("## Exercises"), notebook.cells)
    for cell in below:
        names = re.findall(r"^(?:def|class) (\w+)", cell.source, re.MULTILINE)
        if cell.cell_type == "code" and names and "raise NotImplementedError" in cell.source:
            stubs.append((names[-1], cell.source))
    return stubs


def read_lessons(notebooks: Path) -> list[Lesson]:
    """Every lesson of a folder, in order; BadInput if one is missing or incomplete."""
    return [read_lesson(path) for path in lesson_paths(notebooks)]
