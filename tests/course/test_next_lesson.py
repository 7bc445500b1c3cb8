"""Two lessons are added step by step, and whatever step is left out, a test names it.

In a scratch copy of the course both are made of lesson 5, under other names. STEPS is the
check-list "A new lesson" of CONTRIBUTING.md.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import run as run_notebooks
from course_copy import copy_of_the_course
from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths, solutions_of

import nbformat
import pytest

MODEL = "05_feed_forward"  # the lesson that the new ones are made of


@dataclass(frozen=True)
class New:
    """A new lesson in a copy of the course."""

    course: Path
    number: int
    word: str

    @property
    def topic(self) -> str:
        """The name of its modules."""
        return f"{self.word}_lesson"

    @property
    def stem(self) -> str:
        """The name of its notebook."""
        return f"{self.number:02d}_{self.topic}"

    @property
    def before(self) -> str:
        """The name of the notebook before it."""
        return lesson_paths(self.course / "notebooks")[self.number - 2].name

    @property
    def notebook(self) -> Path:
        """Where its notebook is, or is to be."""
        return self.course / "notebooks" / f"{self.stem}.ipynb"

    def adapted(self, text: str) -> str:
        """A text of lesson 5 as one of this lesson; the names are as long, so lines fit."""
        for old, new in {
            MODEL: self.stem,
            r"\bfeed_forward\b": self.topic,
            "FeedForward": f"{self.word.title()}Feeder",
            "relu_unit": f"{self.word}_bit",
            "rate_experiment": f"{self.word}_trial_run",
            # The check of the second exercise has a module of its own.
            r"(checks|wrong_answers)([./])gated\b": rf"\1\2{self.word}_gated",
            r"(Lesson) 5 · Feed-forward": rf"\1 {self.number} · {self.word.title()} lesson",
            r"([Ll]esson) 5\b": rf"\1 {self.number}",
            r"(\*\*New terms:\*\*) [^.]*": rf"\1 {self.word} term",
        }.items():
            text = re.sub(old, new, text)
        return text

    def read(self, name: str) -> str:
        """The text of a file of the copy."""
        return (self.course / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Give a file of the copy this text."""
        (self.course / name).write_text(text, encoding="utf-8", newline="\n")

    def adapt(self, name: str) -> None:
        """Copy a file of lesson 5's as one of this lesson's."""
        self.write(self.adapted(name), self.adapted(self.read(name)))

    def insert(self, name: str, text: str, before: str) -> None:
        """Put a text before another one that stands in the file once."""
        old = self.read(name)
        assert old.count(before) == 1
        self.write(name, old.replace(before, text + before))


def add_module(new: New) -> None:
    new.adapt("lessons/feed_forward.py")


def add_to_the_house(new: New) -> None:
    # The module imports none of ours, so it may stand at the bottom; its checks need all others.
    house = "pyproject.toml"
    new.insert(house, f'    "{new.topic}",\n', before="    # files and what everything rests on")
    checks = f'    "checks.{new.word}_gated", "checks.{new.topic}",\n'
    new.insert(house, checks, before="    # the course itself")


def add_tests(new: New) -> None:
    name = f"{new.word.title()}Feeder"
    new.write(f"tests/parts/test_{new.topic}.py", f"""\
from lessons.{new.topic} import {name}


def test_it_has_two_matrices_and_two_biases():
    assert len(list({name}(4).parameters())) == 4
""")  # fmt: skip


def add_notebook(new: New) -> None:
    """As an author leaves it: a comment lags behind the module, and no cell was run."""
    text = new.adapted(new.read(f"notebooks/{MODEL}.ipynb"))
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("  # without a bend, two linear layers are one", "")
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, new.notebook)


def add_checks(new: New) -> None:
    new.adapt("lessons/checks/feed_forward.py")
    new.adapt("lessons/checks/gated.py")
    # With another name an import has another place.
    ruff = [sys.executable, "-m", "ruff", "check", "--select=I", "--fix", "--quiet"]
    subprocess.run([*ruff, "lessons/checks"], cwd=new.course, check=True)


def export_checks(new: New) -> None:
    gated, *others = [f"Gated{new.word.title()}Feeder", f"{new.word}_bit", f"{new.word}_trial_run"]
    package, names = "lessons/checks/__init__.py", [gated, *others]
    lines = f"""\
from lessons.checks.{new.word}_gated import {gated}
from lessons.checks.{new.topic} import {", ".join(others)}
"""
    new.insert(package, lines, before="from lessons.checks.split_heads")
    new.insert(package, "".join(f'    "{name}",\n' for name in names), before="]  # fmt: skip")


def add_wrong_answers(new: New) -> None:
    new.adapt("tests/course/wrong_answers/feed_forward.py")
    new.adapt("tests/course/wrong_answers/gated.py")


def add_solutions(new: New) -> None:
    new.adapt(f"notebooks/solutions/{MODEL}_solutions.ipynb")


def lead_to_it(new: New) -> None:
    path = new.course / "notebooks" / new.before
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].source += f" Lesson {new.number} goes on."
    nbformat.write(notebook, path)


def explain_terms(new: New) -> None:
    head, *entries = new.read("GLOSSARY.md").rstrip("\n").split("\n- ")
    link = f"([lesson {new.number}](notebooks/{new.stem}.ipynb))"
    entries.append(f"**{new.word} term** {link}: What the {new.word} lesson is about.")
    entries.sort(key=lambda entry: entry.split("**")[1].lower())
    new.write("GLOSSARY.md", "\n- ".join([head, *entries]) + "\n")


def tell_teachers(new: New) -> None:
    page = new.read("TEACHING.md")
    section = re.search(r"\n## Lesson 5 .*?(?=\n## )", page, re.DOTALL)[0]
    new.write("TEACHING.md", page + new.adapted(section).rstrip() + "\n")


def run_it(new: New) -> None:
    """What notebooks/run.py does in minutes: the outputs are lesson 5's, under other names."""
    for path in (new.notebook, solutions_of(new.notebook)):
        if not path.exists():
            continue
        done = path.relative_to(new.course).as_posix().replace(new.stem, MODEL)
        notebook = nbformat.read(path, as_version=4)
        ran = nbformat.reads(new.adapted(new.read(done)), as_version=4).cells
        for cell, model in zip(notebook.cells, ran, strict=True):
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = model.outputs, model.execution_count
        if path == new.notebook:
            run_notebooks.quote(notebook, run_notebooks.sample_of(path.with_name(new.before)))
        nbformat.write(notebook, path)


@dataclass(frozen=True)
class Step:
    """What a maintainer does, a function or a script, and what a test says if it was forgotten."""

    name: str
    do: Callable[[New], None] | str
    said: str


STEPS = [
    Step("lessons/TOPIC.py", add_module, "No module named 'lessons.{topic}'"),
    Step("pyproject.toml", add_to_the_house,
         "no place in pyproject.toml's house: ['checks.{word}_gated', 'checks.{topic}', "
         "'{topic}']"),
    Step("tests/parts/test_TOPIC.py", add_tests, "imports lessons.{topic}: write test_{topic}.py"),
    Step("notebooks/NN_TOPIC.ipynb", add_notebook, "notebooks/{number:02d}_….ipynb is missing"),
    Step("lessons/checks/TOPIC.py", add_checks, "No module named 'lessons.checks.{word}_gated'"),
    Step("lessons/checks/__init__.py", export_checks, "lessons/checks/__init__.py: ['Gated"),
    Step("tests/course/wrong_answers/TOPIC.py", add_wrong_answers,
         "/wrong_answers/{word}_"),
    Step("notebooks/solutions/NN_TOPIC_solutions.ipynb", add_solutions,
         "notebooks/solutions/{stem}_solutions.ipynb"),
    Step("the lesson before", lead_to_it, "AssertionError: **Next.** of {before}"),
    Step("GLOSSARY.md", explain_terms, "GLOSSARY.md: [('{word} term', {number}, 'notebooks/{stem}"),
    Step("TEACHING.md", tell_teachers, "TEACHING.md needs one ## Lesson {number} · "),
    Step("pages/readme.py", "pages/readme.py", "SystemExit: README.md is stale"),
    Step("notebooks/sync.py", "notebooks/sync.py", "is_the_text_of_the_module[{stem}]"),
    Step("notebooks/run.py", run_it, "was_run_once_from_top_to_bottom_without_an_error[{stem}]"),
    Step("pages/teaching.py", "pages/teaching.py", "SystemExit: TEACHING.md is stale"),
]  # fmt: skip
# Without one of the first three the tests can tell of little else, and a check that is not
# exported needs no wrong answers. Apart from these, steps are left out together: a run is long.
LEFT_OUT = [
    {"lessons/TOPIC.py"},
    {"notebooks/NN_TOPIC.ipynb"},
    {"lessons/checks/TOPIC.py"},
    {"lessons/checks/__init__.py", "pyproject.toml", "GLOSSARY.md", "TEACHING.md",
     "notebooks/run.py"},
    {"tests/course/wrong_answers/TOPIC.py", "tests/parts/test_TOPIC.py", "the lesson before",
     "notebooks/solutions/NN_TOPIC_solutions.ipynb", "pages/readme.py", "notebooks/sync.py",
     "pages/teaching.py"},
]  # fmt: skip
TESTS = [
    *("house/test_house.py", "course/test_teaching.py", "course/test_glossary.py"),
    *("course/test_exercises.py", "course/test_notebooks.py", "course/test_catalogue.py"),
    "course/test_checks.py::test_every_exercise_has_a_check_and_at_least_three_wrong_answers",
    "course/test_checks.py::test_the_solutions_of_every_lessons_first_two_exercises_are_tried",
]
# What starts a kernel or an environment of its own knows nothing of lessons.
APART = "in_colab or cell_that_fails or bad_input or times_that or quotes_the_last"
# In one process, because each of them imports torch.
SCRIPTS_AND_TESTS = """
import contextlib, runpy, sys
import pytest
scripts, tests = sys.argv[1].split(), sys.argv[2:]
for script in scripts:
    with contextlib.suppress(SystemExit):
        sys.argv[1:] = ["--write"]
        sys.path.insert(0, f"helper_scripts/{script.split('/')[0]}")
        runpy.run_path(f"helper_scripts/{script}", run_name="__main__")
sys.exit(pytest.main(tests))
"""


def failures(course: Path, scripts: list[str]) -> str:
    """Run the scripts and then the tests in a copy of the course: what failing tests say."""
    tests = [f"tests/{test}" for test in TESTS] + ["-k", f"not ({APART})"]
    options = ["-q", "--tb=short", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", SCRIPTS_AND_TESTS, " ".join(scripts), *tests, *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env["PYTHONPATH"] = str(course)
    env["PYTHONUTF8"] = "1"  # also where the console has another encoding
    done = subprocess.run(command, cwd=course, env=env, capture_output=True, encoding="utf-8")
    if done.returncode == 0:
        return ""
    lines = done.stdout.splitlines()
    said = [line for line in lines if line.startswith(("E  ", "FAILED ", "ERROR "))]
    return "\n".join(said) or done.stdout + done.stderr


def add_lessons(course: Path, left_out: set[str]) -> tuple[New, str]:
    """Add both lessons to a copy, the last without some steps: it, and what failing tests say."""
    copy_of_the_course(course)
    # In alphabetical order, and behind other checks, so that imports are sorted.
    number = len(lesson_paths(course / "notebooks"))
    one, last = New(course, number + 1, "short"), New(course, number + 2, "small")
    for step in STEPS:
        for new in (one, last):
            if callable(step.do) and not (new is last and step.name in left_out):
                step.do(new)
    scripts = [s.do for s in STEPS if isinstance(s.do, str) and s.name not in left_out]
    return last, failures(course, scripts)


@pytest.mark.slow
def test_with_every_step_done_the_course_with_two_lessons_more_passes(tmp_path):
    _, said = add_lessons(tmp_path, left_out=set())
    assert said == ""


@pytest.mark.slow
@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda names: min(names))
def test_a_step_that_is_left_out_is_named_by_a_failing_test(left_out, tmp_path):
    new, said = add_lessons(tmp_path, left_out)
    facts = {name: getattr(new, name) for name in ("number", "word", "topic", "stem", "before")}
    named = {step.name for step in STEPS if step.said.format(**facts) in said}
    assert named >= left_out, said
    if len(left_out) > 1:  # each has a sentence of its own
        assert named == left_out, said


def test_every_step_is_left_out_once():
    names = [name for together in LEFT_OUT for name in together]
    assert sorted(names) == sorted(step.name for step in STEPS)


def test_the_check_list_for_maintainers_names_every_step_in_order():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    check_list = page.partition("\n## A new lesson\n")[2].partition("\n## ")[0]
    places = [check_list.find(step.name) for step in STEPS]
    assert -1 not in places and places == sorted(places)
