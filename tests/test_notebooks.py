"""Every notebook has the skeleton of the house, and its code is the code in lessons/."""

import copy
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

import colab_links
import readme_table
import run_notebooks
import sync_notebooks
from lessons.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
PATHS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_is_valid_and_small(path, notebook):
    nbformat.validate(notebook)
    assert path.stat().st_size <= 300_000


def test_it_was_run_once_from_top_to_bottom_without_an_error(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert not [out for out in cell.outputs if out.output_type == "error"]
        # What goes to stderr differs from machine to machine: bars and warnings.
        assert not [out for out in cell.outputs if out.get("name") == "stderr"], cell.source


def test_every_checked_cell_has_something_to_compare(notebook):
    checked = [
        cell
        for cell in code_cells(notebook)
        if "nbval-check-output" in cell.metadata.get("tags", []) or "NBVAL_CHECK" in cell.source
    ]
    assert checked
    assert all(cell.execution_count and cell.outputs for cell in checked)


def test_every_image_has_alt_text(notebook):
    for cell in notebook.cells:
        for out in cell.get("outputs", []):
            if "image/png" in out.get("data", {}):
                assert len(out.metadata["image/png"]["alt"]) > 20
        if cell.cell_type == "markdown":
            assert "![](" not in cell.source and "<img" not in cell.source


def test_one_title_and_headings_in_order(notebook):
    markdown = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    for heading in ("Where we are", "Train it", "Break it", "Exercises", "Recap"):
        assert f"\n## {heading}\n" in markdown


def test_every_prediction_is_followed_by_code_and_a_folded_answer(notebook):
    cells = notebook.cells
    for n, cell in enumerate(cells):
        if cell.source.startswith("**Predict.**"):
            assert cells[n + 1].cell_type == "code"
            assert any("<details>" in later.source for later in cells[n + 2 : n + 5]), cell.source


def test_what_it_teaches_is_the_text_of_the_module(path, notebook):
    texts = sync_notebooks.taught(int(path.name[:2]), ROOT / "lessons")
    assert texts and sync_notebooks.sync(notebook, texts) == []


def test_badges_and_setup_cells_lead_home():
    place = colab_links.home(fork=False)
    for path in PATHS:
        text = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(text, as_version=4)
        badges = re.findall(r"colab\.research\.google\.com/github/([^)\s]+)", text)
        where = "{owner}/{repository}/blob/{branch}/notebooks/".format(**place)
        assert badges == [where + path.name]
        assert colab_links.linked(notebook, path, place) == text
        assert code_cells(notebook)[0].source == colab_links.SETUP.format(**place)


def test_the_setup_cell_fetches_the_course_in_colab_and_does_nothing_elsewhere(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: calls.append(args))
    setup = colab_links.SETUP.format(**colab_links.home(fork=False))
    exec(setup, {})
    assert calls == []
    monkeypatch.setitem(sys.modules, "google.colab", object())
    monkeypatch.setattr(sys, "path", sys.path.copy())
    exec(setup, {})
    assert [command[0][:2] for command in calls] == [["git", "clone"], [sys.executable, "-m"]]


def test_a_comment_that_drifts_is_noticed_and_mended():
    lesson_1 = nbformat.read(PATHS[0], as_version=4)
    texts = sync_notebooks.taught(1, ROOT / "lessons")
    drifted = copy.deepcopy(lesson_1)
    cell = next(c for c in code_cells(drifted) if "def get_batch(" in c.source)
    cell.source = cell.source.replace("# each (B, T)", "# each (T, B)")
    assert sync_notebooks.sync(drifted, texts) == ["get_batch differs from the module"]
    assert drifted == lesson_1


def test_a_cell_with_more_than_the_module_is_noticed():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("def f():\n    return 10")]
    )
    assert sync_notebooks.sync(notebook, {"f": "def f():\n    return 1"})


def test_a_definition_that_is_gone_is_noticed():
    lesson_1 = nbformat.read(PATHS[0], as_version=4)
    lesson_1.cells = [cell for cell in lesson_1.cells if "def generate(" not in cell.source]
    texts = sync_notebooks.taught(1, ROOT / "lessons")
    assert sync_notebooks.sync(lesson_1, texts) == ["no cell defines generate: add one"]


@pytest.mark.parametrize("script", [colab_links, readme_table, sync_notebooks])
def test_nothing_that_scripts_write_is_stale(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script.__name__, "--check"])
    script.main()


def test_a_cell_that_fails_leaves_the_notebook_as_it_was(tmp_path):
    cells = [nbformat.v4.new_code_cell("print(1)"), nbformat.v4.new_code_cell("1 / 0")]
    path = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    before = path.read_bytes()
    with pytest.raises(BadInput, match="broken.ipynb failed"):
        run_notebooks.run(path)
    assert path.read_bytes() == before


def test_bad_input_shows_one_sentence_in_a_notebook_and_no_frames(tmp_path):
    source = "from lessons.tokenizer import CharTokenizer\nCharTokenizer('abc').encode('abz')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    run_notebooks.NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    traceback = "\n".join(notebook.cells[0].outputs[0].traceback)
    assert "'z' at position 2" in traceback and "line" not in traceback


def test_a_fork_links_to_itself(monkeypatch, tmp_path):
    answers = {"get-url": "git@github.com:me/my-ladder.git\n", "--show-current": "dev\n"}

    def answer(command, **_):
        stdout = next(answers[word] for word in command if word in answers)
        return subprocess.CompletedProcess(command, 0, stdout)

    monkeypatch.setattr(colab_links.subprocess, "run", answer)
    place = colab_links.home(fork=True)
    assert list(place.values()) == ["me", "my-ladder", "dev"]
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_bytes((ROOT / "pyproject.toml").read_bytes())
    colab_links.adopt(place, pyproject)
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    assert table["tool"]["gpt-ladder"] == place and table["project"]["name"] == "gpt-ladder"


def test_a_cell_with_a_magic_is_passed_over():
    assert sync_notebooks.definitions("%timeit f()\ndef f(): pass") == {}


def test_only_the_last_definition_must_agree_so_that_a_cruder_one_may_come_before():
    cells = ["def f():\n    return 0", "x = 1\ndef f():\n    return 2\nf()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    sync_notebooks.sync(notebook, {"f": "def f():\n    return 1  # one"})
    assert notebook.cells[0].source == cells[0]
    assert notebook.cells[1].source == "x = 1\ndef f():\n    return 1  # one\nf()"
