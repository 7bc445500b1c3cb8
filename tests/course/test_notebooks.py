"""Every notebook has the skeleton of the house, and its code is the code in lessons/."""

import ast
import copy
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import colab_links
import readme as readme_table
import run as run_notebooks
import sync as sync_notebooks
import teaching as teaching_table
from course_copy import copy_of_the_course
from lessons.course.address import address
from lessons.course.catalogue import lesson_paths, read_lesson, solutions_of
from lessons.course.taught import definitions, sync, taught
from lessons.errors import BadInput
from lessons.ladder import LADDER
from lessons.records import read_losses
from lessons.results import summary

import nbformat
import pytest
import torch

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]
PATHS = lesson_paths(ROOT / "notebooks")
EVERY = PATHS + sorted((ROOT / "notebooks" / "solutions").glob("*.ipynb"))


def test_every_lesson_has_its_solutions_and_there_are_no_others():
    expected = PATHS + [solutions_of(path) for path in PATHS]
    odd = sorted(path.relative_to(ROOT).as_posix() for path in set(EVERY) ^ set(expected))
    assert EVERY == expected, odd


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


on_every = pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@on_every
def test_the_notebook_is_valid_and_small(path, notebook):
    nbformat.validate(notebook)
    assert path.stat().st_size <= 300_000


@on_every
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


@on_every
def test_its_kernel_is_the_one_that_every_machine_has(path, notebook):
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    assert kernel == "python3", f"{path.name} asks for {kernel}: run `make notebooks`"


@on_every
def test_every_code_cell_is_plain_python(notebook):
    # A failing !command, %pip or unknown %magic passes in nbval, and skips the rest of its cell.
    for cell in code_cells(notebook):
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            pytest.fail(f"{error.text or cell.source!r}: use subprocess.run(..., check=True)")


@on_every
def test_what_is_opened_is_closed(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert unclosed(cell.source) == [], cell.source


def unclosed(markdown: str) -> list[str]:
    """What a text opens and does not close: fences, formulas, folded parts."""
    fences = len(re.findall(r"^ *```", markdown, re.MULTILINE))
    bare = re.sub(r"```.*?```|`[^`\n]*`", "", markdown, flags=re.DOTALL)
    odd = {"```": fences % 2, "`": bare.count("`") % 2, "$$": bare.count("$$") % 2}
    bare = bare.replace("$$", "").replace(r"\$", "")
    odd["$"] = any(paragraph.count("$") % 2 for paragraph in bare.split("\n\n"))
    odd["**"] = any(paragraph.count("**") % 2 for paragraph in bare.split("\n\n"))
    for tag in ("details", "summary", "b", "code", "div"):
        odd[f"<{tag}>"] = len(re.findall(rf"<{tag}\b", bare)) != bare.count(f"</{tag}>")
    # An unclosed one may also hide behind another that is closed twice.
    tags = re.findall(r"<(/?)(details|summary)\b", bare)
    opened = []
    for closes, tag in tags:
        if not closes:
            opened.append(tag)
        elif not opened or opened.pop() != tag:
            odd["order of tags"] = True
    return [name for name, is_odd in odd.items() if is_odd]


@pytest.mark.parametrize(
    ("markdown", "left_open"),
    [("<details><summary>A</summary>\n\nB", "<details>"), ("$$x = 1", "$$"), ("a $x b", "$"),
     ("```\ncode", "```"), ("a `b", "`"), ("a **b", "**"),
     ("</details>\n<details>", "order of tags")],
)  # fmt: skip
def test_what_stays_open_is_noticed(markdown, left_open):
    assert left_open in unclosed(markdown)
    assert unclosed("`$` and `<details>`, $x$ and $$y$$, <details>**z**</details>") == []


@on_every
def test_every_image_has_alt_text(notebook):
    for cell in notebook.cells:
        for out in cell.get("outputs", []):
            if "image/png" in out.get("data", {}):
                alt = out.metadata.get("image/png", {}).get("alt", "")
                assert len(alt) > 20, f"show(figure, alt=...) in {cell.source}"
        if cell.cell_type == "markdown":
            assert "![](" not in cell.source and "<img" not in cell.source


def test_one_title_and_headings_in_order(notebook):
    markdown = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    levels = [len(marks) for marks in re.findall(r"^(#+) ", markdown, re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    for heading in ("Where we are", "Train it|Measure it", "Break it", "Exercises", "Recap"):
        assert re.search(rf"^## ({heading})$", markdown, re.MULTILINE), heading


def test_every_prediction_and_guess_is_followed_by_code_and_a_folded_answer(notebook):
    cells = notebook.cells
    asked = [n for n, cell in enumerate(cells) if re.search(r"\*\*(Predict|Guess)\.", cell.source)]
    assert len(asked) >= 6
    for n in asked:
        last_paragraph = cells[n].source.split("\n\n")[-1]
        assert last_paragraph.startswith(("**Predict.**", "**Guess.**")), cells[n].source
        assert cells[n + 1].cell_type == "code"
        assert any("<details>" in later.source for later in cells[n + 2 : n + 5]), cells[n].source


@pytest.mark.parametrize("path", PATHS[4:], ids=lambda path: path.stem)
def test_a_long_cell_comes_after_a_short_version_in_its_section(path, notebook):
    cells, shown = notebook.cells, 0
    first = cells.index(code_cells(notebook)[1])  # the imports, which are as long as they are
    for cell in cells[first + 1 :]:
        if cell.cell_type == "code":
            assert shown or len(cell.source.splitlines()) <= 25, cell.source
            shown += 1
        elif cell.source.startswith("## "):
            shown = 0


# Names that say it all, and those of pandas and Python that PyTorch has as well.
PLAIN = {"abs", "log", "max", "min", "sqrt", "median", "diff", "empty", "linalg", "utils", "inf"}


def operations(notebook) -> list[str]:
    """What the code of a notebook takes from PyTorch, in order: functions, layers, methods."""
    homes = (torch, torch.nn, torch.nn.functional, torch.nn.utils, torch.Tensor, torch.nn.Module,
             torch.optim.Optimizer, torch.linalg, torch.nn.init)  # fmt: skip
    known = set().union(*map(dir, homes)) - PLAIN
    trees = [ast.parse(cell.source) for cell in code_cells(notebook)[1:]]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    others = {"math", "np", "pd", "plt"}
    return [n.attr for n in nodes if n.attr in known and ast.unparse(n.value) not in others]


@pytest.mark.parametrize("path", PATHS[4:], ids=lambda path: path.stem)
def test_an_operation_of_pytorch_is_named_in_the_prose_of_the_lesson_that_first_has_it(
    path, notebook
):
    earlier = [nbformat.read(p, as_version=4) for p in PATHS[: PATHS.index(path)]]
    new = set(operations(notebook)) - {name for other in earlier for name in operations(other)}
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert not [name for name in sorted(new) if not re.search(rf"\b{name}\b", prose)]


def test_an_idea_takes_at_most_120_words(notebook):
    for cell in notebook.cells:
        if cell.source.startswith("## ") and not cell.source.startswith("## Recap"):
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            assert len(text.split()) <= 120, cell.source


def test_the_minutes_stand_in_the_metadata_and_in_the_text(path, notebook):
    minutes = notebook.metadata.get("gpt_ladder", {}).get("minutes", {})
    assert minutes.keys() == {"lesson", "exercises"}, f"{path.name}'s metadata: {minutes}"
    line = "**Minutes:** {lesson} to read and run, {exercises} for the exercises.".format(**minutes)
    assert line in notebook.cells[0].source
    lesson = read_lesson(path)
    assert [exercise.minutes for exercise in lesson.exercises] == [10, 25, 45]
    assert (lesson.minutes, lesson.exercise_minutes) == (minutes["lesson"], minutes["exercises"])


def test_it_opens_with_what_the_last_lesson_wrote(path, notebook):
    where = next(c.source for c in notebook.cells if c.source.startswith("## Where we are"))
    if path != PATHS[0]:
        before = PATHS[PATHS.index(path) - 1]
        assert f"```\n{run_notebooks.sample_of(before)}\n```" in where


def texts_of(notebook) -> str:
    """All code of a notebook, and all that it printed."""
    cells = code_cells(notebook)
    return "\n".join(
        [c.source for c in cells] + [o.get("text", "") for c in cells for o in c.outputs]
    )


def test_the_rungs_that_it_printed_are_those_on_record(path, notebook):
    table = summary(read_losses()).round(3)
    rows = re.findall(r"^(\d\d+_\w+) +(\d+) +(\S+) +(\S+)", texts_of(notebook), re.MULTILINE)
    for stem, *numbers in rows:
        assert stem in table.index, f"data/losses/{stem}.csv is not on record"
        wanted = table.loc[stem, ["seeds", "val_loss", "sd"]].tolist()
        assert [float(n) for n in numbers] == pytest.approx(wanted, nan_ok=True)
    # The lesson that ends the ladder shows all of it.
    if PATHS.index(path) + 1 == max(rung.lesson for rung in LADDER):
        assert {row[0] for row in rows} == set(table.index)


def test_a_lesson_asks_for_a_gpu_where_its_code_takes_one(notebook):
    takes_one = any("pick_device(" in cell.source for cell in code_cells(notebook))
    assert (notebook.metadata.get("accelerator") == "GPU") == takes_one


def test_what_it_teaches_is_the_text_of_the_module(path, notebook):
    number = PATHS.index(path) + 1
    texts = taught(number, ROOT / "lessons")
    assert texts, f"no module of lessons/ begins with `Lesson {number} ·`"
    assert sync(notebook, texts) == [], path.name


def test_it_ends_with_the_question_that_leads_to_the_next_lesson(path, notebook):
    last = notebook.cells[-1].source.rpartition("**Next.**")[2]
    assert len(last.split()) >= 10
    if path != PATHS[-1]:
        following = PATHS.index(path) + 2
        assert re.search(rf"[Ll]esson {following}\b", last), f"**Next.** of {path.name}"


def test_badges_and_setup_cells_lead_home():
    place = address()
    for path in EVERY:
        text = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(text, as_version=4)
        badges = re.findall(r"colab\.research\.google\.com/github/([^)\s]+)", text)
        where = "{owner}/{repository}/blob/{branch}/".format(**place)
        assert badges == [where + path.relative_to(ROOT).as_posix()]
        assert colab_links.linked(notebook, path, place) == text
        assert code_cells(notebook)[0].source == colab_links.SETUP.format(**place)


def test_the_setup_cell_does_nothing_outside_colab(monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)  # calling it would be an error
    exec(colab_links.SETUP.format(**address()), {})


@pytest.fixture
def colab(tmp_path):
    """A folder in which a function runs the setup cell as if in Colab, without a network.

    The clone address leads to a local repository with this checkout's files in it, and pip
    installs into a virtual environment of its own, which sees the packages of this one.
    """
    place = address()
    origin, content, env = tmp_path / "origin", tmp_path / "content", tmp_path / "env"
    copy_of_the_course(origin)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", place["branch"]], ["add", "-A"],
                    [*author, "commit", "-q", "-m", "all"]):  # fmt: skip
        # Not with the developer's own settings, such as signed commits.
        plain = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", "-C", str(origin), *command], check=True, env=plain)
    config = tmp_path / "gitconfig"
    home = "https://github.com/{owner}/{repository}.git".format(**place)
    config.write_text(f'[url "{origin.as_uri()}"]\n    insteadOf = {home}\n')
    venv.create(env, symlinks=os.name != "nt")
    python = env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    (Path(own) / "shared.pth").write_text(sysconfig.get_path("purelib"))
    stub = "import sys, types; sys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    settings = {
        "GIT_CONFIG_GLOBAL": str(config),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    content.mkdir()

    # Without the developer's PYTHONPATH and the like, which lead to this checkout.
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    def run(cell: str) -> subprocess.CompletedProcess:
        return subprocess.run([python, "-c", cell], cwd=content, env=outside | settings,
                              capture_output=True, text=True)  # fmt: skip

    run.content, run.config = content, config
    run.setup = stub + colab_links.SETUP.format(**place)
    return run


@pytest.mark.slow
def test_the_setup_cell_fetches_and_installs_the_course_in_colab_once(colab):
    for _ in range(2):
        result = colab(colab.setup)
        assert result.returncode == 0, result.stderr
    # In a new process: pip's work, not that of the cell's sys.path.
    proof = "import lessons, torch; print(lessons.__file__); print(torch.__file__)"
    result = colab(proof)
    ours, torch_file = result.stdout.strip().splitlines()
    assert Path(ours).is_relative_to(colab.content.resolve())
    # Colab's own torch: here the one of the environment that runs the tests.
    assert torch_file == torch.__file__
    assert [path.name for path in colab.content.iterdir()] == [address()["repository"]]


@pytest.mark.slow
def test_a_setup_that_fails_in_colab_is_seen_to_fail(colab):
    colab.config.write_text(
        f'[url "{(colab.content / "nowhere").as_uri()}"]\n    insteadOf = https://\n'
    )
    result = colab(colab.setup)
    assert result.returncode != 0 and "CalledProcessError" in result.stderr


def test_a_comment_that_drifts_is_noticed_and_mended():
    lesson_1 = nbformat.read(PATHS[0], as_version=4)
    texts = taught(1, ROOT / "lessons")
    drifted = copy.deepcopy(lesson_1)
    cell = next(c for c in code_cells(drifted) if "def get_batch(" in c.source)
    cell.source = cell.source.replace("# each (B, T)", "# each (T, B)")
    assert sync(drifted, texts) == ["get_batch differs from the module"]
    assert drifted == lesson_1


def test_a_cell_with_more_than_the_module_is_noticed():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("def f():\n    return 10")]
    )
    assert sync(notebook, {"f": "def f():\n    return 1"})


def test_a_definition_that_is_gone_is_noticed():
    lesson_1 = nbformat.read(PATHS[0], as_version=4)
    lesson_1.cells = [cell for cell in lesson_1.cells if "def generate(" not in cell.source]
    texts = taught(1, ROOT / "lessons")
    assert sync(lesson_1, texts) == ["no cell defines generate: add one"]


@pytest.mark.parametrize("script", [colab_links, readme_table, sync_notebooks, teaching_table])
def test_nothing_that_scripts_write_is_stale(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script.__name__, "--check"])
    script.main()


@pytest.mark.slow
def test_a_cell_that_fails_leaves_the_notebook_as_it_was(tmp_path):
    cells = [nbformat.v4.new_code_cell("print(1)"), nbformat.v4.new_code_cell("1 / 0")]
    path = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    before = path.read_bytes()
    with pytest.raises(BadInput, match="broken.ipynb failed"):
        run_notebooks.run(path)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_bad_input_shows_one_sentence_in_a_notebook_and_no_frames(tmp_path):
    source = "from lessons.tokenizer import CharTokenizer\nCharTokenizer('abc').encode('abz')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    run_notebooks.NotebookClient(notebook, kernel_name="python3", allow_errors=True).execute()
    traceback = "\n".join(notebook.cells[0].outputs[0].traceback)
    assert "'z' at position 2" in traceback and "line" not in traceback


def notebook_of(folder, name: str, *cells) -> Path:
    """A notebook file with these code cells, each (source, tag), run once."""
    made = [nbformat.v4.new_code_cell(source, metadata={"tags": [tag]}) for source, tag in cells]
    path = folder / name
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    run_notebooks.run(path)
    return path


@pytest.mark.slow
def test_times_that_differ_leave_the_notebook_as_it_was(tmp_path):
    timed = "import time; print(time.perf_counter())"
    path = notebook_of(tmp_path, "01.ipynb", (timed, "timing"))
    before = path.read_bytes()
    run_notebooks.run(path)
    assert path.read_bytes() == before
    path = notebook_of(tmp_path, "02.ipynb", (timed, "sample"))
    before = path.read_bytes()
    run_notebooks.run(path)
    assert path.read_bytes() != before


@pytest.mark.slow
def test_a_lesson_quotes_the_last_ones_sample(tmp_path):
    before = notebook_of(tmp_path, "01.ipynb", ("print('\\nto be\\\\n')", "quoted"))
    cell = nbformat.v4.new_markdown_cell("## Where we are\n\n```\nold\n```\n\nAfter.")
    path = tmp_path / "02.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    run_notebooks.run(path, before)
    source = nbformat.read(path, as_version=4).cells[0].source
    assert source == "## Where we are\n\n```\nto be\\n\n```\n\nAfter."


def test_a_fork_links_to_itself(monkeypatch, tmp_path):
    answers = {"get-url": "git@github.com:me/my-ladder.git\n", "--show-current": "dev\n"}

    def answer(command, **_):
        stdout = next(answers[word] for word in command if word in answers)
        return subprocess.CompletedProcess(command, 0, stdout)

    monkeypatch.setattr(colab_links.subprocess, "run", answer)
    place = colab_links.fork()
    assert list(place.values()) == ["me", "my-ladder", "dev"]
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_bytes((ROOT / "pyproject.toml").read_bytes())
    colab_links.adopt(place, pyproject)
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    assert table["tool"]["gpt-ladder"] == place and table["project"]["name"] == "gpt-ladder"


def test_a_cell_with_a_magic_is_passed_over():
    assert definitions("%timeit f()\ndef f(): pass") == {}


def test_only_the_last_definition_must_agree_so_that_a_cruder_one_may_come_before():
    cells = ["def f():\n    return 0", "x = 1\ndef f():\n    return 2\nf()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    sync(notebook, {"f": "def f():\n    return 1  # one"})
    assert notebook.cells[0].source == cells[0]
    assert notebook.cells[1].source == "x = 1\ndef f():\n    return 1  # one\nf()"
