"""Every figure in a notebook's prose was printed nearby or is on record.

A figure is a decimal, a whole number with thousands separators, a percentage, or a word such as
"a quarter" in a sentence with one of those. Nearby is the same section, between two headings of
the second level. A paragraph that names another lesson or a rung may quote it, and settings may
be named wherever the notebook's code has them.
"""

import math
import re
from functools import cache
from itertools import permutations

from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.course.outputs import printed
from lessons.ladder import LADDER
from lessons.records import read_losses
from lessons.results import summary

import nbformat
import pytest

pytestmark = pytest.mark.lint
PATHS = lesson_paths(ROOT / "notebooks")
SHARES = {
    "three quarters": 3 / 4, "two thirds": 2 / 3, "a half": 1 / 2, "half": 1 / 2, "a third": 1 / 3,
    "a quarter": 1 / 4, "a fifth": 1 / 5, "a sixth": 1 / 6, "an eighth": 1 / 8, "a tenth": 1 / 10,
    "twice": 2, "double": 2, "doubled": 2, "threefold": 3, "three times": 3, "four times": 4,
    "five times": 5, "ten times": 10,
}  # fmt: skip
FIGURE = r"(?<![\w.,/])(?:\d{1,3}(?:,\d{3})+|\d+\.\d+(?: ?%)?|\d+ ?%)(?![\w,]*\d)"
NEARLY = 0.15  # how far, as a part of itself, a share in words may be from the figures'


def figures_in(text: str) -> list[str]:
    """The figures of a text, as they are written, without separators."""
    return [re.sub("[, ]", "", figure) for figure in re.findall(FIGURE, text)]


def numbers_in(text: str) -> set[str]:
    """All that a figure may quote from code or output: numbers, and decimals as percentages."""
    plain = re.sub(r"(?<=\d)[,_](?=\d{3})", "", text)
    numbers = set(re.findall(r"\d+(?:\.\d+)?(?:%)?", plain))
    numbers |= {f"{float(n):g}" for n in re.findall(r"\d(?:\.\d+)?e-?\d+", plain)}
    decimals = [n for n in numbers if "." in n and "%" not in n and float(n) <= 1]
    return numbers | {f"{round(100 * float(n))}%" for n in decimals}


def shown_by(cells) -> str:
    """What code cells printed, and the texts of their figures."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    alts = [str(output.get("metadata", "")) for cell in code for output in cell.outputs]
    return "\n".join([*map(printed, code), *alts])


def code_of(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def sections_of(notebook) -> list[list]:
    """The cells between one heading of the second level and the next."""
    sections = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            sections.append([])
        sections[-1].append(cell)
    return sections


def paragraphs_of(cell) -> list[str]:
    """The prose of a cell, without code, formulas and links."""
    bare = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$.*?\$|\]\([^)]*\)", "", cell.source,
                  flags=re.DOTALL)  # fmt: skip
    return bare.split("\n\n")


@cache
def numbers_of_lesson(path) -> set[str]:
    """All numbers of a lesson's code and outputs."""
    notebook = nbformat.read(path, as_version=4)
    return numbers_in(code_of(notebook) + "\n" + shown_by(notebook.cells))


@cache
def on_record() -> dict[str, set[str]]:
    """What is on record of each rung, by its title."""
    table = summary(read_losses())
    return {
        rung.title: {f"{table.val_loss[rung.stem]:.3f}", f"{rung.published:g}"}
        for rung in LADDER
        if rung.stem in table.index
    }


def quoted(paragraph: str) -> set[str]:
    """The numbers of the other lessons and of the rungs that a paragraph names."""
    plain = paragraph.lower()
    numbers = {int(n) for n in re.findall(r"lessons? (\d+)", plain)}
    known = [numbers_of_lesson(PATHS[n - 1]) for n in numbers if 0 < n <= len(PATHS)]
    known += [losses for title, losses in on_record().items() if title.lower() in plain]
    known.append({f"{math.log(int(n)):.2f}" for n in re.findall(r"ln (\d+)", plain)})
    return set().union(*known)


def unfounded(notebook, lesson: int = 0) -> list[str]:
    """The figures in a notebook's prose that nothing nearby has printed, with their paragraphs.

    A lesson may quote the record of its own rungs wherever it likes.
    """
    found, sections = [], sections_of(notebook)
    settings, everything = numbers_in(code_of(notebook)), numbers_in(shown_by(notebook.cells))
    own = [rung.title for rung in LADDER if rung.lesson == lesson and rung.title in on_record()]
    settings |= set().union(*(on_record()[title] for title in own))
    for section in sections:
        sums_up = section is sections[0] or section[0].source.startswith("## Recap")
        near = settings | (everything if sums_up else numbers_in(shown_by(section)))
        for cell in section:
            # An exercise names settings to try.
            if cell.cell_type == "markdown" and "minutes).**" not in cell.source:
                found += [f"{figure!r} in: {paragraph}" for paragraph in paragraphs_of(cell)
                          for figure in wrong_in(paragraph, near)]  # fmt: skip
    return found


def wrong_in(paragraph: str, near: set[str]) -> list[str]:
    """The figures of a paragraph that are neither in `near` nor quoted, and the wrong shares."""
    figures, known = figures_in(paragraph), near | quoted(paragraph)
    wrong = [figure for figure in figures if not (figure in known or rounded(figure, known))]
    for sentence in re.split(r"(?<=[.:;?])\s+", paragraph):
        beside = [float(n.rstrip("%")) for n in figures_in(sentence)]
        for words, share in SHARES.items():
            if beside and re.search(rf"\b{words}\b", sentence):
                wrong += [words] if not is_share(share, beside) else []
    return wrong


def rounded(figure: str, known: set[str]) -> bool:
    """Whether a decimal is one of those known, with fewer digits but at least two."""
    digits = len(figure.partition(".")[2])
    if "%" in figure or not digits or len(figure) < 3:
        return False
    longer = [n for n in known if "%" not in n and len(n.partition(".")[2]) > digits]
    return any(abs(float(n) - float(figure)) <= 0.501 * 10**-digits for n in longer)


def is_share(share: float, figures: list[float]) -> bool:
    """Whether a share is that of two figures, of their difference, or one of them itself."""
    pairs = [(a, b) for a, b in permutations(figures, 2) if b]
    shares = [*figures, *(n / 100 for n in figures)]
    shares += [a / b for a, b in pairs] + [abs(b - a) / b for a, b in pairs]
    return any(abs(one - share) <= NEARLY * share for one in shares)


@pytest.mark.parametrize("path", [*PATHS, *map(solutions_of, PATHS)], ids=lambda path: path.stem)
def test_every_figure_in_the_prose_was_printed_nearby_or_is_on_record(path):
    assert unfounded(nbformat.read(path, as_version=4), int(path.name[:2])) == []


def made_up(prose: str) -> nbformat.NotebookNode:
    """A notebook of two sections; the first prints three numbers, the second another one."""
    new = nbformat.v4
    first, second = new.new_code_cell("print(loss)"), new.new_code_cell("print(other)")
    first.outputs = [new.new_output("stream", name="stdout", text="2.48 1003854 0.25\n")]
    second.outputs = [new.new_output("stream", name="stdout", text="3.57\n")]
    return new.new_notebook(cells=[
        new.new_markdown_cell("## One"), first, new.new_markdown_cell(prose),
        new.new_markdown_cell("## Two"), second,
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("prose", "wrong"),
    [
        ("A loss of 2.48.", None),
        ("A loss of 3.57.", "3.57"),  # printed, but elsewhere
        ("A loss of 2.49.", "2.49"),
        ("Of 1,003,854 characters 25% are vowels.", None),
        ("Of 1,003,855 characters.", "1003855"),
        ("Of all characters 26% are vowels.", "26%"),
        ("A share of 0.25, a quarter.", None),
        ("A share of 0.25, a third.", "a third"),
        ("In lesson 1 it was 2.487.", None),
        ("In lesson 1 it was 2.123.", "2.123"),
        ("The bigram ends at 2.487.", None),
        ("The single head ends at 2.487.", "2.487"),
    ],
)
def test_a_figure_that_is_another_or_from_elsewhere_is_noticed(prose, wrong):
    found = unfounded(made_up(prose))
    assert [figure.split("'")[1] for figure in found] == ([wrong] if wrong else [])
