import ast
import json
import ntpath
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

from lessons import corpus, doctor, machine
from lessons.corpus import sha256

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(line).name for line in PROJECT["dependencies"] + EXTRAS["lab"]]
FOR_TESTS = [Requirement(line).name for line in EXTRAS["test"]]
# What a reader can type, or, for Windows, where it is written down.
COMMAND = r"make |\S*python\S* -m |conda env update|(mv|move) data|type the lines for Windows in"


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python without packages, in a folder whose name no old console can print."""
    folder = tmp_path_factory.mktemp("bare") / "Bücher →"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture
def healthy(monkeypatch):
    """Every row is fine; a test then spoils one."""
    for name in ("python_row", "text_row", "gpu_row", "kernel_row"):
        monkeypatch.setattr(doctor, name, lambda *_: ("a thing", "here", "ok"))
    monkeypatch.setattr(doctor, "package_rows", lambda: [("a package", "1.0", "ok")])
    monkeypatch.setattr(doctor, "machine_rows", lambda *_: [("cores", "2", "ok")])
    monkeypatch.setattr(doctor, "trial_rows", lambda: [])


def machine_rows(torch="2.13.0"):
    """What the doctor says of this machine."""
    return machine.machine_rows(ROOT, "python", bool(torch))


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Make this command the kernel that notebooks find first."""

    def install(*command):
        spec = {"argv": [*map(str, command), "-m", "ipykernel_launcher"], "display_name": ""}
        folder = tmp_path / "jupyter" / "kernels" / "python3"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({**spec, "language": "python"}))
        monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    return install


def without_packages(monkeypatch, *absent):
    found = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: "" if name in absent else found(name))


@pytest.mark.slow
def test_before_anything_is_installed_every_line_is_there_and_says_what_to_type(bare_python):
    env = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": ""}
    run = subprocess.run(
        [bare_python, "-m", "lessons.doctor"], cwd=ROOT, env=env, capture_output=True
    )
    printed = run.stdout.decode("cp1252").splitlines()
    assert run.returncode == 1 and run.stderr == b""
    for name in NEEDED:
        assert any(re.match(rf"{name} +not installed +FIX: ({COMMAND})", row) for row in printed)
    assert any(re.match("Python .* ok$", row) for row in printed)
    for start in (
        "for the tests",
        "text",
        "cores",
        "memory .* GiB",
        "disk",
        "CUDA or MPS +unknown",
    ):
        assert any(re.match(start, row) for row in printed), start
    assert any(re.match(r"Jupyter kernel .*FIX: ", row) for row in printed)
    n_bad = sum("  FIX: " in row for row in printed)
    assert n_bad > len(NEEDED) and printed[-1].startswith(f"{n_bad} to fix: ")


def test_a_python_that_is_too_old_is_the_only_thing_reported(monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 9, 18))
        assert doctor.main() == 1
    words = " ".join(capsys.readouterr().out.split())
    assert "FIX: Python 3.9 is too old: install 3.11 or newer" in words
    assert "torch" not in words and "1 to fix" in words


@pytest.mark.parametrize("name", ["doctor", "machine"])
def test_python_3_8_could_read_the_module(name):
    source = (ROOT / "lessons" / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    modules = [n.module for n in tree.body if isinstance(n, ast.ImportFrom)]
    modules += [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
    # Without it "list[int]" in a signature is an error there.
    assert "from __future__ import annotations" in source
    newer = {"tomllib", "zoneinfo", "graphlib"}
    ours = {"lessons.machine"}
    assert {name.split(".")[0] for name in modules if name not in ours} <= (
        sys.stdlib_module_names - newer
    )


def old_pythons():
    """Those of this machine: macOS brings one, for example."""
    names = ["/usr/bin/python3", "python3.8", "python3.9", "python3.10"]
    code = "import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 11))"
    paths = [path for path in map(shutil.which, names) if path]
    return [
        p
        for p in paths
        if not subprocess.run([p, "-c", code], stderr=subprocess.DEVNULL).returncode
    ]


def test_an_old_python_that_is_at_hand_says_what_to_do():
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python from 3.8 to 3.10 here")
    for python in pythons:
        command = [python, "-m", "lessons.doctor"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 1 and run.stderr == ""
        assert "is too old: install 3.11" in run.stdout


def test_the_versions_of_python_are_those_of_the_project_and_of_its_ci():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert PROJECT["requires-python"] == ">={}.{}".format(*doctor.OLDEST)
    assert tested[-1] == "{}.{}".format(*doctor.NEWEST_TESTED)
    verdicts = [doctor.python_row(version)[2] for version in [(3, 10), (3, 11), (3, 13), (3, 14)]]
    assert [verdict.split(":")[0] for verdict in verdicts] == ["FIX", "ok", "ok", "note"]


@pytest.mark.parametrize(
    "version, verdict",
    [
        ("1.13.1", "FIX: 2.4 or newer is needed: make lab"),
        ("2.3.9", "FIX: 2.4 or newer is needed: make lab"),
        ("2.4", "note: tested with 2.13.0"),
        ("2.13.0+cu128", "ok"),
        ("2.13", "ok"),
        ("3.0.0a0+git", "note: tested with 2.13.0"),
    ],
)
def test_a_package_outside_its_range_is_to_be_fixed_and_one_inside_is_not(
    tmp_path, monkeypatch, version, verdict
):
    folder = tmp_path / "a_package-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: A.Package\nVersion: {version}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "how_to_install", lambda: "make lab")
    row = doctor.package_row("a-package>=2.4", {"a-package": "2.13.0"})
    assert row == ("a-package", version, verdict)
    assert doctor.package_row("no-package>=1", {})[1:] == ("not installed", "FIX: make lab")


def test_versions_are_compared_as_installers_do():
    for line in PROJECT["dependencies"] + EXTRAS["lab"] + EXTRAS["test"]:
        # The doctor knows no other way to write a range.
        assert re.fullmatch(r"[a-z-]+>=[\d.]+", line), line
        oldest = doctor.release(line.partition(">=")[2])
        for version in ("0.6", "0.13.0", "2.4", "2.10", "2.3.99+cpu", "8", "6.100", "6.99.9", "77"):
            fits = doctor.release(version) >= oldest
            assert fits == Requirement(line).specifier.contains(version), (line, version)


def test_every_package_has_a_row_and_those_of_the_tests_share_one(monkeypatch):
    *needed, for_tests = doctor.package_rows()
    assert [name for name, _, _ in needed] == NEEDED and for_tests[1:] == (
        f"{len(FOR_TESTS)} of {len(FOR_TESTS)} packages",
        "ok",
    )
    without_packages(monkeypatch, "nbval", "pyyaml", "einops")
    *needed, for_tests = doctor.package_rows()
    assert [row[0] for row in needed if row[2].startswith("FIX")] == ["einops"]
    assert for_tests[1] == f"{len(FOR_TESTS) - 2} of {len(FOR_TESTS)} packages"
    assert for_tests[2].startswith("note: the tests need nbval, pyyaml: ")


def test_without_the_repository_one_line_says_that_versions_were_not_compared(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    rows = list(doctor.package_rows())
    assert len(rows) == 1 and rows[0][2] == "note: versions not compared"


@pytest.mark.parametrize(
    "content, found, verdict",
    [
        (None, "not here yet", "note: downloaded"),
        (b"To be", "Tiny Shakespeare", "ok"),
        (b"Not to be", "another text", "note: losses will not match"),
        (b"", "is empty", "FIX: mv data"),
        (b"caf\xe9", "not UTF-8", "FIX: mv data"),
    ],
)
def test_the_text_is_looked_at_as_the_lessons_read_it(
    tmp_path, monkeypatch, content, found, verdict
):
    monkeypatch.setattr(corpus, "DATA_DIR", tmp_path)
    monkeypatch.setattr(corpus, "TINY_SHAKESPEARE_SHA256", sha256("To be"))
    if content is not None:
        (tmp_path / "input.txt").write_bytes(content)
    row = doctor.text_row()
    assert found in row[1] and row[2].startswith(verdict)


@pytest.mark.parametrize(
    ("system", "path", "typed"),
    [("posix", posixpath, "mv data/input.txt data/unusable.txt"),
     ("nt", ntpath, r"move data\input.txt data\unusable.txt")],
)  # fmt: skip
def test_what_to_type_is_of_the_system_that_it_is_typed_on(
    tmp_path, monkeypatch, system, path, typed
):
    monkeypatch.setattr(corpus, "DATA_DIR", tmp_path)
    (tmp_path / "input.txt").touch()
    join, lexists = path.join, os.path.lexists
    here = SimpleNamespace(name=system, path=SimpleNamespace(join=join, lexists=lexists))
    monkeypatch.setattr(doctor, "os", here)
    assert doctor.text_row()[2] == f"FIX: {typed}"
    assert "make" not in doctor.python_row((3, 99))[2]


def test_without_requests_there_is_still_a_text_and_one_line_says_why(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "requests", None)
    text = corpus.load_text(data_dir=tmp_path)
    said = capsys.readouterr().err
    assert not corpus.is_tiny_shakespeare(text) and list(tmp_path.iterdir()) == []
    assert "RequestsIsNotInstalled" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "gib, torch, verdict", [(0.5, "2.13.0", "FIX"), (2, "2.13.0", "ok"), (2, "", "FIX")]
)
def test_a_full_disk_is_to_be_cleared_first(monkeypatch, gib, torch, verdict):
    monkeypatch.setattr(sys, "platform", "linux")
    free = SimpleNamespace(free=gib * 2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    *_, disk = machine_rows(torch)
    assert disk[1] == f"{gib:.1f} GiB free" and disk[2].startswith(verdict)


@pytest.mark.parametrize("n, verdict", [(1, "note: slower than README.md says"), (2, "ok")])
def test_the_cores_are_those_that_this_process_may_use(monkeypatch, n, verdict):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(n)), raising=False)
    assert next(machine_rows()) == ("cores", str(n), verdict)


def test_memory_is_the_same_with_and_without_psutil_and_too_little_of_it_gets_a_note(monkeypatch):
    import psutil

    _, with_psutil, _ = machine_rows()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=3 * 2**30))
    assert list(machine_rows())[1] == ("memory", "3.0 GiB", "note: close other programs")
    monkeypatch.setitem(sys.modules, "psutil", None)
    if hasattr(os, "sysconf"):
        assert list(machine_rows())[1] == with_psutil
    monkeypatch.setattr(os, "sysconf_names", {}, raising=False)
    assert list(machine_rows())[1] == ("memory", "unknown", "ok")


FAKE_TORCH = """
class cuda:
    is_available = staticmethod(lambda: {cuda})
    get_device_name = staticmethod(lambda: "NVIDIA Something")
class backends:
    class mps:
        is_available = staticmethod(lambda: {mps})
"""


@pytest.mark.parametrize(
    "torch, nvidia_smi, found, verdict",
    [
        (FAKE_TORCH.format(cuda=True, mps=False), True, "CUDA: NVIDIA Something", "ok"),
        (FAKE_TORCH.format(cuda=False, mps=True), False, "MPS: ", "ok"),
        (FAKE_TORCH.format(cuda=False, mps=False), False, "CPU only: every lesson", "ok"),
        (FAKE_TORCH.format(cuda=False, mps=False), True, "CPU only", "note: .*driver"),
        ("raise OSError('libcudart')", False, "OSError: libcudart", "FIX: .*-m pip install"),
        ("import os; os.abort()", False, "", "FIX: .*-m pip install"),
    ],
)
def test_the_gpu_row_says_what_torch_says_even_if_torch_crashes(
    tmp_path, monkeypatch, torch, nvidia_smi, found, verdict
):
    (tmp_path / "torch.py").write_text(torch)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: name if nvidia_smi else None)
    row = doctor.gpu_row()
    assert row[1].startswith(found) and re.match(verdict, row[2])
    without_packages(monkeypatch, "torch")
    assert doctor.gpu_row()[1] == "unknown until torch is installed"


def test_a_process_that_never_answers_is_given_up_on(monkeypatch):
    monkeypatch.setattr(doctor, "TIME_LIMIT", 0.2)
    assert doctor.ask("import time; time.sleep(60)") == (False, "no answer in 0.2 seconds")


def test_a_kernel_that_imports_these_lessons_is_fine(kernel, monkeypatch):
    kernel(sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert doctor.kernel_row()[2] == "ok"


def test_a_kernel_that_imports_other_lessons_gets_a_note(kernel, monkeypatch, tmp_path):
    kernel(sys.executable)
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.kernel_row()[2] == "note: another copy of the lessons"


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", str(ROOT)], ids=["neither", "lessons but no ipykernel"])
def test_a_kernel_of_another_python_that_cannot_run_the_notebooks_is_to_be_removed(
    kernel, bare_python, monkeypatch, path
):
    monkeypatch.setenv("PYTHONPATH", path)
    kernel(bare_python)
    _, found, verdict = doctor.kernel_row()
    assert "cannot be imported by" in found
    assert re.match(r"FIX: .* -m jupyter_client.kernelspecapp remove python3", verdict)


def test_a_kernel_of_this_python_that_cannot_import_lessons_is_to_be_installed(kernel, monkeypatch):
    kernel(sys.executable, "-S")  # which leaves the installed packages out
    monkeypatch.setattr(doctor, "how_to_install", lambda: "make -B lab")
    assert doctor.kernel_row()[2] == "FIX: make -B lab"


@pytest.mark.parametrize(
    "prefix, made, windows, typed",
    [
        ("usr", False, False, "make lab"),
        ("usr", False, True, "type the lines for Windows in README.md"),
        ("usr", True, False, ".venv/bin/python -m lessons.doctor"),
        ("usr", True, True, ".venv/Scripts/python.exe -m lessons.doctor"),
        (".venv", True, False, "make -B lab"),
        ("envs/gpt-ladder", False, False, "conda env update -f environment.yml"),
    ],
)
def test_what_to_type_depends_on_where_python_is(
    tmp_path, monkeypatch, prefix, made, windows, typed
):
    (tmp_path / prefix).mkdir(parents=True)
    if made:
        for name in ("bin/python", "Scripts/python.exe"):
            (tmp_path / ".venv" / name).parent.mkdir(parents=True)
            (tmp_path / ".venv" / name).touch()
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "os", SimpleNamespace(name="nt" if windows else "posix"))
    assert doctor.how_to_install().replace("\\", "/") == typed
    assert re.search(COMMAND, typed)


@pytest.mark.parametrize("verdict, status", [("ok", 0), ("note: x", 0), ("FIX: make lab", 1)])
def test_the_exit_status_is_1_only_where_something_is_to_be_fixed(
    healthy, monkeypatch, capsys, verdict, status
):
    monkeypatch.setattr(doctor, "text_row", lambda: ("text", "found", verdict))
    assert doctor.main() == status
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 to fix: " if status else "Nothing to fix")


@pytest.fixture
def ill(tmp_path, monkeypatch):
    """A machine on which everything that can be wrong is wrong."""
    monkeypatch.setattr(doctor, "installed", lambda name: "0.0.1")
    monkeypatch.setattr(doctor, "ask", lambda code: (False, "An error of many words. " * 5))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    monkeypatch.setattr(corpus, "DATA_DIR", tmp_path)
    (tmp_path / "input.txt").touch()


def test_every_fix_says_what_to_type(ill):
    rows = [*doctor.package_rows(), doctor.text_row(), *machine_rows()]
    rows += [doctor.gpu_row(), *doctor.trial_rows(), doctor.kernel_row()]
    fixes = [verdict for _, _, verdict in rows if verdict.startswith("FIX: ")]
    assert len(fixes) == len(NEEDED) + 5
    assert all(re.search(COMMAND, fix) for fix in fixes)


def test_the_table_is_aligned_and_at_most_100_wide(ill, capsys):
    assert doctor.main() == 1
    *table, _, summary = capsys.readouterr().out.splitlines()
    assert max(map(len, table)) <= 100 and len(table) > len(NEEDED) + 10
    verdicts = [line[52:] for line in table if line[:14].strip()]
    assert all(re.match("ok$|note: |FIX: ", verdict) for verdict in verdicts)
    assert summary.startswith(f"{len(NEEDED) + 5} to fix: ")
