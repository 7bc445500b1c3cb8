"""The rules of prose and names that a machine can see; CONTRIBUTING.md has the others."""

import re

from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths, solutions_of

import nbformat
import pytest

pytestmark = pytest.mark.lint
LESSONS = lesson_paths(ROOT / "notebooks")
NOTEBOOKS = [*LESSONS, *map(solutions_of, LESSONS)]
CODE = [path for folder in ("lessons", "helper_scripts") for path in (ROOT / folder).rglob("*.py")]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "TEACHING.md", "GLOSSARY.md")]
# Phrases that a translation leaves behind, and what the house says instead.
TRANSLATED = {
    "is told on stderr": "stderr says",
    "told on stderr": "stderr says",
    "throws? (a|the) di[ce]e": "draw a random number",
    "by heart": "memorise",
    r"\bMEND\b": "FIX",
    "go_on": "resume",
    "which says what of": "which says of what",
}
NAMES = {"wei": "attn_weights", "FeedFoward": "FeedForward"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_uses_the_fields_names_and_plain_english(path):
    text = path.read_text(encoding="utf-8")
    for name, ours in NAMES.items():
        assert not re.search(rf"\b{name}\b", text), f"{name}: write {ours}"
    for phrase, ours in TRANSLATED.items():
        assert not re.search(phrase, text), f"{phrase!r}: write {ours!r}"


def sentences_of(path) -> str:
    """The words of a notebook's Markdown, without code, formulas and quotations."""
    cells = nbformat.read(path, as_version=4).cells
    texts = [cell.source for cell in cells if cell.cell_type == "markdown"]
    # Cell by cell, so that one stray quotation mark does not hide the rest.
    bare = [re.sub(r'```.*?```|`[^`]*`|\$.*?\$|"[^"]*"', "", t, flags=re.DOTALL) for t in texts]
    return "\n".join(bare).replace("## Where we are\n", "")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_in_a_notebook_the_reader_is_you_and_nobody_is_we(path):
    words = re.findall(r"(?i)\b(we|us|let's)\b", sentences_of(path))
    assert not words, words


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_no_exclamation_marks_and_one_title(page):
    text = re.sub(r"```.*?```|`[^`\n]*`|<!--.*?-->|!\[", "", page.read_text("utf-8"), flags=re.S)
    assert "!" not in text
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda path: path.stem)
def test_every_path_of_the_course_that_is_named_exists(page):
    text = re.sub(r"https?://\S+", "", page.read_text("utf-8"))
    named = re.findall(r"\b(?:lessons|helper_scripts|data|tests)/[\w/]+\.\w+", text)
    # Made when the course is used, or examples of the check-list.
    absent = {name for name in named if not (ROOT / name).exists() and "TOPIC" not in name}
    assert absent <= {"data/input.txt", "data/unusable.txt"}
