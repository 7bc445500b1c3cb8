"""A notebook or page that is not as it was written is refused in one sentence, and stays."""

import json
from pathlib import Path

import colab_links
import run as run_notebooks
import start as kit_start
import teaching
from damage import damaged_bytes, damaged_values
from lessons.course.address import ROOT, address, from_toml
from lessons.course.catalogue import Lesson, lesson_paths, read_lesson
from lessons.course.markers import replace_between
from lessons.course.notebook_file import parse_notebook, read_notebook, text_of, write_notebook
from lessons.course.taught import sync, taught
from lessons.errors import BadInput

import pytest
from hypothesis import HealthCheck, given, settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PLACE = address()
PATHS = lesson_paths(ROOT / "notebooks")
SMALL = new_notebook(
    metadata={"gpt_ladder": {"minutes": {"lesson": 40, "exercises": 5}}},
    cells=[
        new_markdown_cell("[![Open in Colab](x)](y)\n\n# Lesson 1 · More"),
        new_code_cell('"google.colab"'),
        new_markdown_cell("## Where we are\n\n```\nold\n```"),
        new_code_cell("print(1)", outputs=[new_output("stream", text="new")],
                      metadata={"tags": ["quoted"]}),
        new_markdown_cell("## Exercises\n\n**1 · Warm-up (5 minutes).** Count."),
        new_code_cell("def count():\n    raise NotImplementedError"),
    ],
)  # fmt: skip
often = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def work_with(path: Path) -> None:
    """What the scripts do with a notebook of a lesson, except running it."""
    lesson = read_lesson(path)
    assert isinstance(lesson, Lesson) and lesson.minutes > 0 and lesson.exercise_minutes >= 0
    notebook = read_notebook(path)
    sync(notebook, {"count": "def count():\n    ..."})
    run_notebooks.quote(notebook, run_notebooks.sample_of(path))
    run_notebooks.lasting(notebook)
    colab_links.linked(notebook, ROOT / path.name, PLACE)
    write_notebook(path, notebook)
    assert text_of(read_notebook(path)) == text_of(notebook)


@often
@given(damaged_values(json.loads(text_of(SMALL))))
def test_a_damaged_notebook_is_worked_with_or_refused_in_one_sentence(values):
    path = ROOT / "notebooks" / "01_damaged.ipynb"  # never written
    text = json.dumps(values)
    try:
        notebook = parse_notebook(text, path)
    except BadInput as problem:
        assert str(problem).startswith(f"{path} is not a notebook (")
        assert "\n" not in str(problem)
        return
    assert text_of(parse_notebook(text_of(notebook), path)) == text_of(notebook)


@often
@given(damaged_values(json.loads(text_of(SMALL))))
def test_the_scripts_work_with_a_damaged_notebook_or_refuse_it(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "01_damaged.ipynb"
    path.write_text(json.dumps(values))
    try:
        work_with(path)
    except BadInput as problem:
        assert "\n" not in str(problem) and str(problem)[-1] == "."


@settings(often, max_examples=40)
@given(damaged_bytes(text_of(SMALL).encode()))
def test_the_bytes_of_a_notebook_are_no_less_safe(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "damaged.ipynb"
    path.write_bytes(content)
    try:
        notebook = read_notebook(path)
    except BadInput as problem:
        assert str(path) in str(problem) and "\n" not in str(problem)
    else:
        assert text_of(parse_notebook(text_of(notebook), path)) == text_of(notebook)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_is_read_and_written_back_to_the_letter(path):
    assert text_of(read_notebook(path)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v.pop("cells"), "it has no list of cells"),
        (lambda v: v.pop("metadata"), "missing an expected key: metadata"),
        (lambda v: v.update(cells=None), "it has no list of cells"),
        (lambda v: v.update(nbformat=3), "its format is not 4.5"),
        (lambda v: v.update(nbformat_minor=4), "its format is not 4.5"),
        (lambda v: v["cells"][0].pop("id"), "its cells do not have an id each"),
        (lambda v: v["cells"][0].update(id=v["cells"][1]["id"]), "do not have an id each"),
        (lambda v: v["cells"][0].update(source=3), "3 is not valid"),
        (lambda v: v["cells"][0].update(source="\ud800"), "surrogates not allowed"),
        (lambda v: v["cells"][0]["metadata"].update(tags=5), "5 is not of type 'array'"),
    ],
)
def test_each_way_of_being_no_notebook_has_its_reason(change, reason):
    values = json.loads(text_of(SMALL))
    change(values)
    with pytest.raises(BadInput) as refusal:
        parse_notebook(json.dumps(values), Path("a.ipynb"))
    assert str(refusal.value).startswith("a.ipynb is not a notebook (") and reason in str(
        refusal.value
    )


@pytest.mark.parametrize(
    "text", ["", "hello", "[]", "3", "null", "[" * 10**5, '{"cells": 1, "cells": 2}']
)
def test_what_is_no_json_object_is_no_notebook(text):
    with pytest.raises(BadInput, match=r"a\.ipynb is not a notebook \("):
        parse_notebook(text, Path("a.ipynb"))


@pytest.mark.parametrize("minutes", ["long", None, 0, -5, 2.5, True, [40]])
def test_minutes_that_are_no_number_are_as_good_as_none(tmp_path, minutes):
    notebook = parse_notebook(text_of(SMALL), Path("a.ipynb"))
    notebook.metadata["gpt_ladder"]["minutes"]["lesson"] = minutes
    write_notebook(tmp_path / "01_a.ipynb", notebook)
    with pytest.raises(BadInput, match="01_a.ipynb lacks .gpt_ladder"):
        read_lesson(tmp_path / "01_a.ipynb")


@pytest.mark.parametrize(
    ("leave_out", "reason"),
    [("quoted", "one cell tagged `quoted`"), ("## Where", "## Where we are")],
)
def test_a_notebook_without_what_the_next_one_quotes_is_named(tmp_path, leave_out, reason):
    notebook = parse_notebook(text_of(SMALL), Path("a.ipynb"))
    notebook.cells = [
        cell for cell in notebook.cells
        if leave_out not in (cell.metadata.get("tags", []) or cell.source)
    ]  # fmt: skip
    path = tmp_path / "01_a.ipynb"
    write_notebook(path, notebook)
    with pytest.raises(BadInput, match=reason):
        run_notebooks.quote(read_notebook(path), run_notebooks.sample_of(path))


@pytest.mark.parametrize("n_cells", [0, 1])
def test_a_notebook_without_badge_and_setup_cell_is_named(n_cells):
    notebook = parse_notebook(text_of(SMALL), Path("a.ipynb"))
    notebook.cells = notebook.cells[:n_cells]
    with pytest.raises(BadInput, match="01_a.ipynb must begin with a badge, then the setup cell"):
        colab_links.linked(notebook, ROOT / "notebooks" / "01_a.ipynb", address())


@pytest.mark.parametrize(
    "content", ["x = [", "", "[tool]\n", 'tool = "x"', "[tool.gpt-ladder]\nowner = 3"]
)
def test_a_pyproject_without_what_is_asked_of_it_is_named(tmp_path, content):
    path = tmp_path / "pyproject.toml"
    path.write_text(content)
    with pytest.raises(
        BadInput, match="pyproject.toml (is not TOML|lacks what should stand under tool)"
    ):
        from_toml(path, "tool gpt-ladder owner", str)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<!-- a: start -->",
        "<!-- a: end -->\n<!-- a: start -->",
        "<!-- a: start --><!-- a: end -->" * 2,
    ],
)
def test_a_page_without_its_two_lines_in_order_is_refused(page):
    with pytest.raises(BadInput, match="each once and in this order"):
        replace_between(page, "a", "new")


@pytest.mark.parametrize(
    "row", ["| opening | ten |", "| opening |", "| opening", "| opening | -5 |", "| | 10 |"]
)
def test_a_row_of_a_plan_that_is_no_part_with_minutes_is_named(row):
    page = f"\n### 90 minutes\n\n| part | minutes |\n|---|---|\n{row}\n"
    with pytest.raises(
        BadInput, match="90 minutes' in TEACHING.md has|is neither part of a lesson"
    ):
        teaching.plans_table(page, [])


def test_nothing_that_is_taught_is_lost_by_reading_a_notebook_in_this_way():
    notebook = read_notebook(PATHS[0])
    texts = taught(1, ROOT / "lessons")
    assert texts and sync(notebook, texts) == []


@pytest.mark.parametrize("content", ["x = [", "", "[project]\n", "project = 3", "\udcff"])
def test_a_kit_whose_pyproject_is_damaged_says_so(tmp_path, monkeypatch, content):
    (tmp_path / "pyproject.toml").write_bytes(content.encode("utf-8", "surrogateescape"))
    monkeypatch.setattr(kit_start, "HERE", tmp_path)
    with pytest.raises(SystemExit, match="error: pyproject.toml is damaged .*unpack students.zip"):
        kit_start.requirements()


def test_a_kit_that_does_not_say_what_it_is_for_says_so():
    with pytest.raises(SystemExit, match="error: wheels/kit.txt does not say for which Python"):
        kit_start.check_python("nothing\n")
