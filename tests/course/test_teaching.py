"""TEACHING.md says nothing about the lessons that the notebooks and the checks do not say."""

import ast
import functools
import re
from pathlib import Path

import teaching as teaching_table
import wheels as workshop_wheels
from lessons.course.catalogue import read_lessons
from lessons.course.markers import README, replace_between
from lessons.errors import BadInput

import nbformat
import pytest

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]
PAGE = teaching_table.TEACHING.read_text(encoding="utf-8")
LESSONS = {lesson.number: lesson for lesson in read_lessons(ROOT / "notebooks")}
each_lesson = pytest.mark.parametrize("n", LESSONS)


def section(heading: str) -> str:
    """The part of the page below a heading, up to the next one."""
    assert PAGE.count(f"\n{heading}") == 1, f"TEACHING.md needs one {heading}"
    return PAGE.partition(f"\n{heading}")[2].partition("\n#")[0]


@functools.cache
def cells_of(n: int) -> list:
    return nbformat.read(LESSONS[n].path, as_version=4).cells


@functools.cache
def printed(n: int) -> str:
    """All that stands in a lesson, outputs included, on one line."""
    cells = cells_of(n)
    outs = [out.get("text", "") for cell in cells for out in cell.get("outputs", [])]
    return " ".join(" ".join([*(cell.source for cell in cells), *outs]).split())


@functools.cache
def said_by_checks() -> list[str]:
    """Every string of lessons/checks; of an f-string the parts between its holes."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "lessons/checks").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [node.value for node in nodes if isinstance(node.value, str)]


def headings(n: int) -> set[str]:
    return set(re.findall(r"^## (.+)$", "\n".join(c.source for c in cells_of(n)), re.MULTILINE))


def italics(text: str) -> set[str]:
    return set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text))


def test_the_minutes_are_those_of_the_notebooks_and_add_up():
    table = PAGE.partition("<!-- minutes: start -->")[2].partition("<!-- minutes: end -->")[0]
    rows = [re.findall(r"\| \**(\d+)\** (?=\|)", line) for line in table.splitlines()[3:]]
    *each, total = [tuple(map(int, row)) for row in rows]
    for lesson, row in zip(LESSONS.values(), each, strict=True):
        both = (lesson.minutes, lesson.exercise_minutes)
        assert row == (*both, sum(both)), "TEACHING.md is stale: run `make figures`"
    assert total == tuple(map(sum, zip(*each, strict=True)))


def test_the_least_and_the_most_minutes_are_those_of_the_lessons():
    minutes = {lesson.minutes for lesson in LESSONS.values()}
    span = f"{min(minutes)} to {max(minutes)}"
    assert f"Each takes {span} minutes" in README.read_text(encoding="utf-8"), "README.md"
    assert f"lessons stated at {span}." in PAGE, "TEACHING.md"


@pytest.mark.parametrize("plan, limit", teaching_table.PLANS.items())
def test_a_plan_fits_its_time_and_has_minutes_to_spare(plan, limit):
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", section(f"### {plan}\n"), re.MULTILINE)
    assert sum(int(minutes) for _, minutes in rows) <= limit
    # Never timed with a class: at least a sixth more than the teaching minutes.
    teaching = sum(int(m) for part, m in rows if re.fullmatch(r"lesson \d+(, shortened)?", part))
    assert 6 * sum(int(m) for part, m in rows if part == "spare") >= teaching


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("| spare | 15 |", "| spare | 16 |", "takes 91 of 90"),
        ("| lesson 3 | 65 |", "| lesson 3 | 60 |", "60 minutes for lesson 3, and .* has 65"),
        ("lesson 1, exercise 1 | 10 |", "lesson 1, exercise 1 | 11 |", "and the notebook has 10"),
        ("lesson 1, shortened | 35 |", "lesson 1, shortened | 75 |", "and the notebook has 75"),
        ("| ladder | 10 |", "| the ladder | 10 |", "'the ladder' in a plan is neither"),
        ("| lesson 3 | 65 |", "| lesson 0 | 65 |", "'lesson 0' in a plan is neither"),
        ("lesson 1, exercise 1 |", "lesson 1, exercise 4 |", "'lesson 1, exercise 4' in a plan"),
        ("### 90 minutes\n", "### An hour\n", "takes 0 of 90"),
    ],
)
def test_a_plan_with_a_mistake_in_it_is_refused(old, new, sentence):
    assert old in PAGE
    with pytest.raises(BadInput, match=sentence):
        teaching_table.plans_table(PAGE.replace(old, new, 1), [*LESSONS.values()])


def test_a_page_without_the_lines_that_a_script_writes_between_is_refused():
    with pytest.raises(BadInput, match="needs the lines <!-- minutes: start -->"):
        replace_between(PAGE.replace("<!-- minutes: end -->", ""), "minutes", "")


def test_every_lesson_has_its_section_in_order_and_there_are_no_others():
    sections = re.findall(r"^## (Lesson .+)$", PAGE, re.MULTILINE)
    assert sections == [lesson.heading for lesson in LESSONS.values()], "TEACHING.md"


@each_lesson
def test_the_goals_are_the_lessons_own(n):
    bullets = re.findall(r"^- (.+)[;.]$", cells_of(n)[0].source, re.MULTILINE)
    assert len(bullets) == 3
    goals = f"**Goals.** They can {'; '.join(bullets)}."
    assert goals in section(f"## {LESSONS[n].heading}\n")


@each_lesson
def test_a_lesson_has_what_a_teacher_needs_and_names_its_sections_as_they_are(n):
    text = section(f"## {LESSONS[n].heading}\n")
    for lead in ("**Goals.**", "| on the screen | ask |", "**Skip.**", "**Ask the room.**"):
        assert lead in text
    assert italics(text) and italics(text) <= headings(n)


def test_a_shortened_lesson_names_its_sections_as_they_are():
    text = section("### Shortened")
    shortened = re.findall(r"^- \*\*Lesson (\d+):\*\* (.+)$", text, re.MULTILINE)
    planned = {int(n) for n in re.findall(r"^\| lesson (\d+), shortened", PAGE, re.MULTILINE)}
    assert {int(n) for n, _ in shortened} == planned
    for n, sections in shortened:
        assert len(italics(sections)) >= 3 and italics(sections) <= headings(int(n))


@each_lesson
def test_what_is_quoted_is_said_by_a_check_or_stands_in_the_lesson(n):
    text = section(f"## {LESSONS[n].heading}\n")
    quotes = re.findall(r'"([^"\n]+)"', text)
    room = re.search(r'^\*\*Ask the room\.\*\* "([^"]+)"', text, re.MULTILINE)[1]
    asked = [c.source for c in cells_of(n) if re.search(r"\*\*(Predict|Guess)\.", c.source)]
    assert any(room in source for source in asked), room
    for quote in quotes:
        assert quote in printed(n) or any(quote in said for said in said_by_checks()), quote


def test_what_is_quoted_in_every_lesson_is_said_by_a_check():
    for quote in re.findall(r'"([^"\n]+)"', section("## In the room\n")):
        assert any(quote in said for said in said_by_checks()), quote


@each_lesson
def test_every_loss_was_printed_in_the_lesson_or_an_earlier_one(n):
    figures = set(re.findall(r"\d+\.\d+", section(f"## {LESSONS[n].heading}\n")))
    known = set(re.findall(r"\d+\.\d+", " ".join(printed(m) for m in range(1, n + 1))))
    assert figures and figures <= known


def test_the_commands_exist():
    command = section("## The day before\n")
    script = (ROOT / "helper_scripts" / "workshop" / "make.py").read_text("utf-8")
    options = set(re.findall(r"--[a-z]+", command))
    assert options >= {"--wheels", "--platform", "--python"}
    assert all(f'"{option}"' in script for option in options)
    named = re.search(r"--platform ([\w -]+) --python", command)[1].split()
    assert set(named) <= set(workshop_wheels.PLATFORMS)
    doctor = (ROOT / "lessons" / "doctor.py").read_text("utf-8")
    assert "Nothing to fix" in command and "Nothing to fix" in doctor and '"FIX: ' in doctor


def test_headings_are_in_order_and_the_tone_is_calm():
    levels = [len(marks) for marks in re.findall(r"^(#+) ", PAGE, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    assert "!" not in PAGE.replace("<!--", "")
