"""The glossary has every term that a lesson introduces, once, and links to that lesson."""

import re
from pathlib import Path

from lessons.course.catalogue import lesson_paths

import nbformat
import pytest

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"^- \*\*(.+?)\*\* \(\[lesson (\d+)\]\((notebooks/\S+)\)\): (.+)$")


def test_the_glossary_has_the_new_terms_of_every_lesson_and_no_others():
    introduced = set()
    for number, path in enumerate(lesson_paths(ROOT / "notebooks"), 1):
        cells = nbformat.read(path, as_version=4).cells
        recap = next(cell.source for cell in cells if cell.source.startswith("## Recap"))
        terms = re.search(r"^\*\*New terms:\*\* (.+)\.$", recap, re.MULTILINE)[1].split(", ")
        introduced |= {(term, number, f"notebooks/{path.name}") for term in terms}
    _, bullet, rest = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8").partition("\n- ")
    entries = [ENTRY.match(line).groups() for line in (bullet + rest).splitlines()[1:]]
    explained = {(term, int(lesson), path) for term, lesson, path, _ in entries}
    assert explained == introduced, f"GLOSSARY.md: {sorted(explained ^ introduced)}"
    names = [entry[0].lower() for entry in entries]
    assert names == sorted(set(names))
    # One plain sentence each.
    assert all(re.fullmatch(r"[^.!?]+(\.\d[^.!?]*)*\.", entry[3]) for entry in entries)
