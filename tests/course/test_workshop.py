"""A workshop's folder holds what students need and nothing else, and sets itself up."""

import ast
import ensurepip
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import make as make_workshop
import wheels as workshop_wheels
from lessons.errors import BadInput

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "helper_scripts" / "workshop" / "start.py"
OPENED = "if __name__ == '__main__': import sys; print('JupyterLab on', sys.argv[1])"
IGNORED = ["runs/mine/losses.csv", "lessons/__pycache__/old.py", "data/losses/private.csv"]


def a_notebook() -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell("print(42)", execution_count=7, id="one")
    cell.outputs = [nbformat.v4.new_output("stream", text="42\n")]
    cell.metadata.execution = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    return nbformat.v4.new_notebook(cells=[cell])


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, by its path."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def a_course(root: Path) -> None:
    """A small course in a git repository, with things in it that nobody must see."""
    texts = {
        **dict.fromkeys(IGNORED, "private"),
        "lessons/__init__.py": "",
        "lessons/corpus.py": "",
        "lessons/checks/one.py": "",
        "TEACHING.md": "for teachers",
        "README.md": "",
        "constraints.txt": "torch==2.13.0\n",
        "pyproject.toml": '[project]\ndependencies = ["torch>=2.4"]\n'
        "[project.optional-dependencies]\nlab = ['jupyterlab']\n",
        ".gitignore": "\n".join(["data/input.txt", *IGNORED]),
        "data/losses/01_bigram.csv": "seed\n",
        "data/input.txt": "some text",
        "notebooks/01_bigram.ipynb": nbformat.writes(a_notebook()),
        "notebooks/solutions/01_bigram_solutions.ipynb": nbformat.writes(a_notebook()),
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    (root / "notebooks" / "02_scratch.ipynb").write_text("not yet in git")


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    a_course(tmp_path / "course")
    monkeypatch.setattr(make_workshop, "ROOT", tmp_path / "course")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "course"


def make(monkeypatch, *args: str) -> Path:
    monkeypatch.setattr(sys, "argv", ["make.py", *args])
    make_workshop.main()
    return Path("workshop")


def refused(monkeypatch, capfd, *args: str) -> str:
    """The one sentence with which it refuses."""
    with pytest.raises(SystemExit) as stop:
        make(monkeypatch, *args)
    error = capfd.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in error
    return error.splitlines()[-1]


def test_students_get_notebooks_without_outputs_counts_and_times(course, monkeypatch):
    path = make(monkeypatch) / "students" / "notebooks" / "01_bigram.ipynb"
    (cell,) = nbformat.read(path, as_version=4).cells
    assert (cell.source, cell.outputs, cell.execution_count) == ("print(42)", [], None)
    assert cell.metadata == {}


def test_solutions_and_notes_for_teachers_are_apart(course, monkeypatch):
    workshop = make(monkeypatch)
    with zipfile.ZipFile(workshop / "students.zip") as packed:
        names = [*packed.namelist(), *files_of(workshop / "students")]
    assert not [name for name in names if "solutions" in name or "TEACHING" in name]
    solved = "notebooks/solutions/01_bigram_solutions.ipynb"
    assert files_of(workshop / "solutions") == {
        "01_bigram_solutions.ipynb": (course / solved).read_bytes()
    }
    assert (workshop / "TEACHING.md").read_text() == "for teachers"


def test_nothing_that_git_does_not_hold_is_handed_out(course, monkeypatch):
    expected = {
        *("README.md", "START.html", "constraints.txt", "pyproject.toml", "start.py"),
        *("data/input.txt", "data/losses/01_bigram.csv"),
        *("lessons/__init__.py", "lessons/corpus.py", "lessons/checks/one.py"),
        "notebooks/01_bigram.ipynb",
    }
    assert files_of(make(monkeypatch) / "students").keys() == expected


@pytest.mark.parametrize("pattern", make_workshop.STUDENTS)
def test_every_name_on_the_list_is_that_of_a_file(pattern):
    assert list(ROOT.glob(pattern))


def test_a_copy_without_git_will_do_and_says_so(course, monkeypatch, capfd):
    (course / "notebooks" / "02_scratch.ipynb").unlink()
    (course / ".git").rename(course / "elsewhere")
    # Not in a folder of another repository either.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(course.parent))
    students = make(monkeypatch) / "students"
    assert "There is no git here" in capfd.readouterr().out
    assert (students / "lessons" / "checks" / "one.py").exists()
    assert not (students / "runs").exists()


def test_a_text_that_is_missing_or_another_one_is_named_in_one_line(course, monkeypatch, capfd):
    assert (make(monkeypatch) / "students" / "data" / "input.txt").read_text() == "some text"
    assert "input.txt is not Tiny Shakespeare" in capfd.readouterr().out
    (course / "data" / "input.txt").unlink()
    assert not (make(monkeypatch) / "students" / "data" / "input.txt").exists()
    assert "input.txt is missing" in capfd.readouterr().out.splitlines()[0]


def test_the_zips_equal_the_folders_and_a_second_run_gives_the_same_bytes(course, monkeypatch):
    workshop = make(monkeypatch)
    first = files_of(workshop)
    for name, top in (("students", "gpt-ladder"), ("solutions", "gpt-ladder-solutions")):
        with zipfile.ZipFile(workshop / f"{name}.zip") as packed:
            inside = {entry: packed.read(entry) for entry in packed.namelist()}
        folder = files_of(workshop / name)
        assert inside == {f"{top}/{path}": content for path, content in folder.items()}
        assert {entry.date_time[0] for entry in packed.infolist()} == {1980}
    assert files_of(make(monkeypatch)) == first


def test_without_solutions_there_is_no_workshop(course, monkeypatch, capfd):
    shutil.rmtree(course / "notebooks" / "solutions")
    assert "no solutions" in refused(monkeypatch, capfd)
    assert os.listdir() == ["course"]


@pytest.mark.parametrize("name", ["thesis.txt", "ABOUT.txt"])
def test_an_alien_folder_is_refused_and_left_as_it_was(course, monkeypatch, capfd, name):
    Path("workshop").mkdir()
    Path("workshop", name).write_text("mine")
    assert "not an earlier workshop" in refused(monkeypatch, capfd)
    assert files_of(Path("workshop")) == {name: b"mine"}


def test_wheels_that_cannot_be_had_leave_everything_as_it_was(course, monkeypatch, capfd):
    before = files_of(make(monkeypatch))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(course))
    assert "could not fetch the wheels" in refused(monkeypatch, capfd, "--wheels")
    assert files_of(Path("workshop")) == before
    assert sorted(os.listdir()) == ["course", "workshop"]


def test_a_disk_that_is_full_is_named_in_one_sentence(course, monkeypatch, capfd):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make_workshop, "pack", full)
    assert "No space left on device" in refused(monkeypatch, capfd)
    assert os.listdir() == ["course"]


def test_a_workshop_that_cannot_take_its_place_leaves_the_earlier_one(course, monkeypatch, capfd):
    before, replace = files_of(make(monkeypatch)), os.replace

    def replace_all_but_the_new(source: Path, target: Path) -> None:
        if ".new." in source.name:
            raise OSError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_all_but_the_new)
    assert "Permission denied" in refused(monkeypatch, capfd)
    assert files_of(Path("workshop")) == before
    assert sorted(os.listdir()) == ["course", "workshop"]


def a_wheel(folder: Path, name: str, *needs: str, source: str = "") -> None:
    """A wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-2.13.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.13.0\n"
    with zipfile.ZipFile(folder / f"{name}-2.13.0-py3-none-any.whl", "w") as packed:
        packed.writestr(f"{name}.py", source)
        packed.writestr(
            f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {n}\n" for n in needs)
        )
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")


def an_index(folder: Path, monkeypatch) -> None:
    """All the packages in this small world: pip finds them here and nowhere else."""
    a_wheel(folder, "torch", "numpy")
    a_wheel(folder, "numpy")
    a_wheel(folder, "jupyterlab", 'winpty; os_name == "nt"', "schema[extra]", source=OPENED)
    a_wheel(folder, "schema", 'uri; extra == "extra"', 'other; extra == "other"')
    for name in ("winpty", "uri", "other"):
        a_wheel(folder, name)
    bundled = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)
    if bundled is None:
        pytest.skip("this Python has no wheel of pip")
    shutil.copy(bundled, folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@pytest.mark.slow
def test_wheels_are_chosen_with_the_markers_of_the_other_platform(course, tmp_path, monkeypatch):
    an_index(tmp_path / "index", monkeypatch)
    options = ["--wheels", "--platform", "windows-x86_64", "macos-arm64", "--python", "3.13"]
    wheels = make(monkeypatch, *options) / "students" / "wheels"
    lines = (wheels / "kit.txt").read_text().splitlines()
    assert lines == ["Windows AMD64, Python 3.13", "macOS arm64, Python 3.13"]
    names = {path.name.split("-")[0] for path in wheels.glob("*.whl")}
    assert names == {"pip", "torch", "numpy", "jupyterlab", "winpty", "schema", "uri"}


def test_wheels_that_do_not_fit_each_other_are_refused(tmp_path, monkeypatch):
    needs = {"torch": ["numpy", "schema"], "schema": ["numpy<2"]}

    def fetch(folder, requirements, *_):
        for requirement in requirements:
            a_wheel(folder, requirement.name, *needs.get(requirement.name, []))

    monkeypatch.setattr(workshop_wheels, "pip_download", fetch)
    with pytest.raises(BadInput, match="numpy 2.13.0 does not fit numpy<2: pin it in pins.txt"):
        workshop_wheels.fetch_wheels(
            tmp_path / "wheels", ["torch"], Path("pins.txt"), "linux-x86_64", "3.12"
        )


@pytest.mark.parametrize("options", [["--python", "3.12"], ["--wheels", "--python", "3.9"]])
def test_options_that_make_no_sense_are_refused(course, monkeypatch, capfd, options):
    assert "--python" in refused(monkeypatch, capfd, *options)
    assert os.listdir() == ["course"]


@pytest.mark.parametrize("kits", [[], ["Windows AMD64, Python 3.12.4", "macOS arm64, Python 3.12"]])
def test_the_start_page_is_whole_and_names_python_and_its_wheels(kits):
    page = make_workshop.start_page(kits)
    assert all(kit in page for kit in kits) and "$" not in page
    assert ("py -3.12 start.py" if kits else "py start.py") in page
    for tag in ("table", "tr", "td", "th", "p", "h2", "code", "i", "html"):
        assert len(re.findall(rf"<{tag}[ >]", page)) == page.count(f"</{tag}>"), tag


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory) -> Path:
    """students.zip with wheels; the index that they came from is gone."""
    place = tmp_path_factory.mktemp("teacher")
    a_course(place / "course")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(make_workshop, "ROOT", place / "course")
        an_index(place / "index", monkeypatch)
        make(monkeypatch, "--wheels", "--out", str(place / "workshop"))
    shutil.rmtree(place / "index")
    return place / "workshop" / "students.zip"


@pytest.fixture
def kit(handed_out, tmp_path) -> Path:
    """What a student has unpacked."""
    home = tmp_path / "Zoë's home"
    with zipfile.ZipFile(handed_out) as packed:
        packed.extractall(home)
    return home / "gpt-ladder"


def start(kit: Path, *args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(kit / "start.py"), *args]
    # Somebody's own settings of pip do not matter.
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PIP_USER": "1"}
    )


@pytest.mark.slow
def test_a_kit_sets_itself_up_once_without_an_index_and_after_a_cut_anew(kit):
    first = start(kit)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1] == "JupyterLab on notebooks"
    again = start(kit)
    assert again.stdout.splitlines() == ["Everything is set up.", "JupyterLab on notebooks"]
    (kit / ".venv" / "half").touch()
    (kit / ".venv" / "ready").unlink()
    cut = start(kit, "--no-lab")
    assert cut.returncode == 0 and cut.stdout.startswith("Setting up")
    assert (kit / ".venv" / "ready").exists() and not (kit / ".venv" / "half").exists()
    # The course's own code is that of the folder, also after the folder has moved.
    moved = kit.rename(kit.with_name("moved"))
    (moved / "lessons" / "corpus.py").write_text("mine = 1")
    python = moved / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-Ec", "from lessons.corpus import mine"], cwd=moved.parent, check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs a group of processes to interrupt")
def test_ctrl_c_is_left_to_jupyterlab_and_its_status_is_passed_on(tmp_path):
    lab = "import time\ntry:\n    print('open', flush=True)\n    time.sleep(60)\n"
    (tmp_path / "jupyterlab.py").write_text(lab + "except KeyboardInterrupt:\n    exit(7)")
    code = "import pathlib, sys, start; start.HERE = pathlib.Path.cwd(); "
    code += "start.PYTHON = sys.executable; start.open_lab()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(START.parent)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline() == b"open\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=120) == 7


@pytest.mark.slow
def test_a_set_up_that_fails_says_for_whom_the_wheels_are(kit):
    next((kit / "wheels").glob("numpy-*")).unlink()
    result = start(kit)
    sentence = result.stderr.splitlines()[-1]
    assert result.returncode != 0 and not (kit / ".venv" / "ready").exists()
    assert sentence.startswith("error: The packages could not be installed")
    assert (kit / "wheels" / "kit.txt").read_text().strip() in sentence


@pytest.mark.slow
def test_packages_that_do_not_start_are_noticed(kit):
    a_wheel(kit / "wheels", "torch", source="raise OSError('c10.dll')")
    result = start(kit)
    assert "c10.dll" in result.stderr and not (kit / ".venv" / "ready").exists()
    assert result.stderr.splitlines()[-1].startswith("error: The packages are there but do not")


@pytest.mark.slow
def test_another_python_than_that_of_the_wheels_is_refused_in_one_sentence(kit):
    (kit / "wheels" / "kit.txt").write_text("Linux x86_64, Python 3.99.1")
    (sentence,) = start(kit).stderr.splitlines()
    assert "for Python 3.99, and this is Python" in sentence and not (kit / ".venv").exists()


@pytest.mark.parametrize("version", [(3, 6, 8), (3, 10, 14)])
def test_an_old_python_reads_the_start_script_and_is_refused_in_one_sentence(version):
    ast.parse(START.read_text(encoding="utf-8"), feature_version=version[:2])
    code = "import platform, runpy, sys; sys.version_info = {v}; sys.argv = ['start.py']; "
    code += "platform.python_version = lambda: '{v}'; runpy.run_path(r'{p}', run_name='__main__')"
    command = [sys.executable, "-c", code.format(v=version, p=START)]
    result = subprocess.run(command, capture_output=True, text=True)
    (sentence,) = result.stderr.splitlines()
    assert "Python 3.11 or newer is needed" in sentence and result.returncode != 0


@pytest.mark.slow
@pytest.mark.skipif("WORKSHOP_KIT" not in os.environ, reason="fetches 300 MB: set WORKSHOP_KIT=1")
def test_with_the_wheels_lesson_1_runs_within_five_minutes_without_a_network(tmp_path):
    """On Linux, where a process can be given a network of its own, with nothing in it."""
    script = ROOT / "helper_scripts" / "workshop" / "make.py"
    command = [sys.executable, script, "--wheels", "--out", tmp_path / "workshop"]
    subprocess.run(command, check=True)
    shutil.rmtree(tmp_path / "workshop" / "students")
    steps = f"""
        ip link set lo up
        test "$(ip -o link | wc -l)" = 1
        {sys.executable} -m zipfile -e workshop/students.zip .
        cd gpt-ladder
        {sys.executable} start.py --no-lab
        .venv/bin/python -m jupyter nbconvert --to notebook --execute \
            --output done.ipynb notebooks/01_bigram.ipynb
    """
    began = time.monotonic()
    alone = ["unshare", "--map-root-user", "--net", "sh", "-euc", steps]
    subprocess.run(alone, cwd=tmp_path, check=True, env={"PATH": os.environ["PATH"]})
    seconds = time.monotonic() - began
    size = (tmp_path / "workshop" / "students.zip").stat().st_size / 1e6
    print(f"{size:.0f} MB, unpacked, set up and lesson 1 run in {seconds:.0f} s")
    done = nbformat.read(tmp_path / "gpt-ladder" / "notebooks" / "done.ipynb", as_version=4)
    outputs = [out for cell in done.cells for out in cell.get("outputs", [])]
    # The exercises' stubs are not filled in; their checks say so, and nothing fails.
    assert seconds < 300 and len(outputs) > 10
