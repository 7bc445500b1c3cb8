"""The layout of the house: who may import whom, and lists that must agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import readme as readme_table
from figures import HASH, IMAGES_DIR, drawn_from
from lessons.course.catalogue import lesson_paths
from lessons.course.markers import README, replace_between
from lessons.ladder import LADDER
from lessons.presets import PRESETS
from lessons.records import LOSSES_DIR, read_losses

import PIL.Image
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.lint

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOUSE = PYPROJECT["tool"]["house"]["order"]
SCRIPTS = sorted((ROOT / "helper_scripts").rglob("*.py"))
COURSE = {"torch", "numpy", "jupyterlab", "matplotlib", "pandas", "seaborn", "nbval", "einops"}
LESSON_PATHS = lesson_paths(ROOT / "notebooks")


def path_of(name: str) -> Path:
    return ROOT / "lessons" / f"{name.replace('.', '/')}.py"


def source_of(name: str) -> str:
    return path_of(name).read_text(encoding="utf-8")


def lesson_of(name: str) -> int | None:
    """The number of the lesson that teaches this module, as its first line says."""
    match = re.match(r'"""Lesson (\d+) · ', source_of(name))
    return int(match[1]) if match else None


def test_every_module_has_its_place_in_the_house():
    paths = [path.relative_to(ROOT / "lessons") for path in (ROOT / "lessons").rglob("*.py")]
    names = {".".join(path.with_suffix("").parts) for path in paths if path.stem != "__init__"}
    assert names <= set(HOUSE), f"no place in pyproject.toml's house: {sorted(names - set(HOUSE))}"
    assert names >= set(HOUSE), f"in the house, not in lessons/: {sorted(set(HOUSE) - names)}"


def imported_by(source: str) -> set[str]:
    """The modules that a source text imports, wherever in it; `from a.b import c` counts as a.b."""
    nodes = list(ast.walk(ast.parse(source)))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return names | {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}


@pytest.mark.parametrize("name", HOUSE)
def test_a_module_imports_only_what_stands_below_it(name):
    imported = imported_by(source_of(name))
    ours = {module.removeprefix("lessons.") for module in imported if module.startswith("lessons.")}
    assert "lessons" not in imported
    assert ours <= set(HOUSE[: HOUSE.index(name)])


def test_the_parts_never_import_training_at_scale():
    first = next(n for n, name in enumerate(HOUSE) if name.startswith("at_scale."))
    parts = [name for name in HOUSE[:first] if re.match(r'"""Lesson \d+ · ', source_of(name))]
    assert len(parts) >= 12
    for name in parts:
        assert not any(
            module.startswith("lessons.at_scale") for module in imported_by(source_of(name))
        )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_lessons_and_its_own_folder_and_never_another_command(script):
    imported = imported_by(script.read_text(encoding="utf-8"))
    local = {other.stem for other in SCRIPTS} & imported
    beside = {other.stem for other in SCRIPTS if other.parent == script.parent}
    assert local <= beside
    for name in local:
        source = (script.parent / f"{name}.py").read_text(encoding="utf-8")
        assert '__name__ == "__main__"' not in source, name


@pytest.mark.parametrize("path", [*map(path_of, HOUSE), *SCRIPTS], ids=lambda path: path.stem)
def test_no_text_is_run_as_code(path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    called = {node.func.id for node in nodes
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    assert not called & {"exec", "eval", "compile"}


# Parser itself, and what a workshop starts before any package is there.
OTHERS = {ROOT / "lessons" / "arguments.py", ROOT / "helper_scripts" / "workshop" / "start.py"}


@pytest.mark.parametrize(
    "path", sorted({*map(path_of, HOUSE), *SCRIPTS} - OTHERS), ids=lambda path: path.stem
)
def test_every_command_line_is_read_by_our_parser_and_a_wrong_word_gets_one_sentence(path):
    assert "ArgumentParser" not in path.read_text(encoding="utf-8")


def test_scripts_of_the_same_name_are_imported_by_no_test_which_could_not_tell_them_apart():
    names = [script.stem for script in SCRIPTS]
    twice = {name for name in names if names.count(name) > 1}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    for name in twice:
        assert not [text for text in texts if re.search(rf"^(import|from) {name}\b", text, re.M)]


@pytest.mark.parametrize("name", HOUSE)
def test_a_module_is_short_and_says_which_lesson_teaches_it(name):
    source = source_of(name)
    assert len(source.splitlines()) < 200
    assert re.match(r'"""(Lesson \d+|Plumbing) · ', source)


def test_what_modules_and_rungs_call_a_lesson_is_one():
    named = {lesson_of(name) for name in HOUSE} - {None} | {rung.lesson for rung in LADDER}
    missing = sorted(named - set(range(1, len(LESSON_PATHS) + 1)))
    assert not missing, [f"notebooks/{n:02d}_….ipynb is missing" for n in missing]


def test_what_a_lesson_teaches_is_tried_by_a_test_or_as_a_part_of_a_rung():
    paths = [ROOT / "lessons" / "ladder.py", *(ROOT / "tests").rglob("test_*.py")]
    users = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    for name in filter(lesson_of, HOUSE):
        imported = re.search(rf"^from lessons\.{re.escape(name)} import", users, re.MULTILINE)
        assert imported, f"no test imports lessons.{name}: write test_{name}.py"


@pytest.mark.parametrize("name", HOUSE)
def test_everything_public_has_a_docstring(name):
    tree = ast.parse(source_of(name))
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_"]
    # Not functions inside functions: their name and the lines around them say it all.
    nodes = tree.body + [node for found in classes for node in found.body]
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            plain = node.name == "forward" or node.name.startswith("build_")
            assert plain or ast.get_docstring(node), node.name


def test_importing_lessons_alone_imports_neither_torch_nor_matplotlib():
    code = "import sys, lessons; print({'torch', 'matplotlib'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def ranges() -> dict[str, Requirement]:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {Requirement(line).name: Requirement(line) for line in lines}


def test_the_conda_environment_has_the_same_packages_and_ranges():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    named = [Requirement(line) for line in pip if not line.startswith("-")]
    assert {r.name: r.specifier for r in named} == {n: r.specifier for n, r in ranges().items()}
    assert set(ranges()) >= COURSE
    assert {"--constraint constraints.txt", "--editable ."} <= set(pip)


def test_the_tested_versions_lie_within_the_ranges():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    split = [line.split("==") for line in lines if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in split}
    for name, requirement in ranges().items():
        pin = pins.get(canonicalize_name(name))
        assert pin, f"constraints.txt has no version of {name}: add the one that was tested"
        assert pin in requirement.specifier, name
    assert pins["torch"] == "2.13.0"


def test_the_oldest_versions_are_the_lower_ends_of_the_ranges():
    lines = (ROOT / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == sorted(f"{name}=={str(r.specifier)[2:]}.*" for name, r in ranges().items())


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    readme = README.read_text(encoding="utf-8")
    named = set(re.findall(r"^make (\w+)|`make (\w+)", readme, re.MULTILINE))
    named = {name for pair in named for name in pair if name}
    assert named and named <= targets


def test_the_readmes_tables_are_drawn_from_what_is_on_record():
    readme = README.read_text(encoding="utf-8")
    assert readme_table.refreshed(readme) == readme


def test_every_preset_stands_in_the_readmes_table_and_gpt2s_stand_in_one_row():
    table = readme_table.presets_table()
    named = re.findall(r"`(\S+)`", table)
    assert [f"gpt2{name}" if name.startswith("-") else name for name in named] == list(PRESETS)
    # What the row says of the first of the family holds for all.
    family = [preset for name, preset in PRESETS.items() if name.startswith("gpt2")]
    assert len({(preset.shape.block_size, preset.training) for preset in family}) == 1


@pytest.mark.parametrize("image", sorted(IMAGES_DIR.glob("*.png")), ids=lambda path: path.name)
def test_a_committed_figure_was_drawn_from_the_losses_on_record(image):
    with PIL.Image.open(image) as picture:
        drawn = picture.text[HASH]
    assert drawn == drawn_from(read_losses()), f"{image.name} is stale: run `make figures`"


def test_a_stale_readme_table_is_noticed(tmp_path):
    for path in [*LOSSES_DIR.glob("*.csv"), *LOSSES_DIR.glob("*.json")]:
        (tmp_path / path.name).write_text(path.read_text())
    csv = tmp_path / "02_single_head.csv"
    head, *rows = csv.read_text().splitlines()
    raised = [row.replace(",2.", ",3.") for row in rows]
    csv.write_text("\n".join([head, *raised]))
    readme = README.read_text(encoding="utf-8")
    assert replace_between(readme, "ladder table", readme_table.ladder_table(tmp_path)) != readme


def test_the_code_is_formatted_and_clean():
    ruff = [sys.executable, "-m", "ruff"]
    looks = [[*ruff, "check", "."], [*ruff, "format", "--check", "."]]
    assert [subprocess.run(look, cwd=ROOT).returncode for look in looks] == [0, 0]
