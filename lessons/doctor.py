"""Plumbing · what this machine has, what it lacks and what to type: python -m lessons.doctor.

Standard library only, in the syntax of Python 3.8: this runs before anything is installed.
A row has a name, what was found and a verdict: "ok", "note: ..." or "FIX: ..." with what to type.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from lessons.machine import machine_rows

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable.replace(f"{ROOT}{os.sep}", "")  # as you type it in the course's folder
OLDEST, NEWEST_TESTED = (3, 11), (3, 13)
WIDTHS = 14, 34, 48  # of the columns: 100 with the space between them
TIME_LIMIT = 120  # seconds: the first import of torch after its installation is slow
LOOK_FOR_GPU = """
import torch
cpu = "CPU only: every lesson runs on it"
other = "MPS: used where you say --device mps" if torch.backends.mps.is_available() else cpu
print("CUDA: " + torch.cuda.get_device_name() if torch.cuda.is_available() else other)
"""
TRY_OUT = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
from lessons.at_scale.trial import report
print(report())
"""
LOOK_FOR_KERNEL = """
import jupyter_client, subprocess, sys
command = jupyter_client.KernelManager(kernel_name="python3").format_kernel_cmd()
code = ["-c", "import ipykernel, lessons; print(lessons.__file__)"]
if subprocess.run(command[: command.index("-m")] + code, timeout=60).returncode:
    sys.exit("lessons or ipykernel cannot be imported by " + command[0])
"""


def how_to_install() -> str:
    """What to type so that every package is there, in a version that fits."""
    python = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (ROOT / "start.py").exists():  # a workshop's folder
        return "delete the folder .venv, then: python start.py"
    if Path(sys.prefix).name == "gpt-ladder":  # as environment.yml calls it
        return "conda env update -f environment.yml"
    if python.exists() and not (ROOT / ".venv").samefile(sys.prefix):
        return f"{python.relative_to(ROOT)} -m lessons.doctor"
    if os.name == "nt" and not shutil.which("make"):
        return "type the lines for Windows in README.md"
    return "make -B lab" if python.exists() else "make lab"  # -B: even if it is up to date


def ask(code: str) -> tuple[bool, str]:
    """Run `code` in an empty folder: did it work, and the last line that it printed."""
    options = {"capture_output": True, "text": True, "errors": "replace", "timeout": TIME_LIMIT}
    try:  # in a process of its own, because a broken package can crash or never answer
        with tempfile.TemporaryDirectory() as elsewhere:
            answer = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, **options)
    except subprocess.TimeoutExpired:
        return False, f"no answer in {TIME_LIMIT} seconds"
    said = answer.stderr if answer.returncode else answer.stdout
    return answer.returncode == 0, (said.strip() or f"exit {answer.returncode}").splitlines()[-1]


def python_row(version: tuple[int, int]) -> tuple[str, str, str]:
    """Python's version, and the folder that its packages are in."""
    name, verdict = "{}.{}".format(*version), "ok"
    if version < OLDEST:
        verdict = f"FIX: Python {name} is too old: install " + "{}.{} or newer".format(*OLDEST)
    elif version > NEWEST_TESTED:
        verdict = "note: newer than tested; if pip finds no torch, install {}.{}"
        verdict = verdict.format(*NEWEST_TESTED)
    return "Python", f"{name} in {sys.prefix}", verdict


def installed(name: str) -> str:
    """The version of a package, or "" if it is not there."""
    return next((found.version for found in importlib.metadata.distributions(name=name)), "")


def release(version: str) -> list[int]:
    """The numbers a version starts with, [2, 4, 0, 0] for 2.4rc1+cpu: enough to compare ours."""
    numbers = re.findall(r"\d+", re.match(r"[\d.]*", version).group())
    return [int(n) for n in [*numbers, 0, 0, 0, 0]][:4]


def package_row(requirement: str, tested: dict[str, str]) -> tuple[str, str, str]:
    """A package against its range, as in "torch>=2.4", and the version that was tested."""
    name, _, oldest = requirement.partition(">=")
    if not (version := installed(name)):
        return name, "not installed", f"FIX: {how_to_install()}"
    if release(version) < release(oldest):
        return name, version, f"FIX: {oldest} or newer is needed: {how_to_install()}"
    note = f"note: tested with {tested[name]}"
    return name, version, "ok" if release(version) == release(tested[name]) else note


def package_rows() -> Iterator[tuple[str, str, str]]:
    """A row for each package of the course, and one for those that only the tests need."""
    import tomllib  # not above, because Python 3.10 has none

    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
        tested = dict(re.findall(r"^(\S+)==(\S+)", pins, re.MULTILINE))
        extras = project["optional-dependencies"]
        yield from [package_row(line, tested) for line in project["dependencies"] + extras["lab"]]
        rows = [package_row(line, tested) for line in extras["test"] if (ROOT / "tests").exists()]
    except FileNotFoundError:
        yield "packages", "no pyproject.toml beside lessons/", "note: versions not compared"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        yield "packages", f"pyproject.toml or constraints.txt: {error}", "FIX: restore that file"
    else:
        lacking = [name for name, _, verdict in rows if verdict.startswith("FIX")]
        note = f"note: the tests need {', '.join(lacking)}: {how_to_install()}" if lacking else "ok"
        yield "for the tests", f"{len(rows) - len(lacking)} of {len(rows)} packages", note


def text_row() -> tuple[str, str, str]:
    """The text in data/, read as the lessons read it."""
    import lessons.corpus as corpus  # not above, because it needs a newer Python

    path = corpus.DATA_DIR / "input.txt"
    if not os.path.lexists(path):
        offline = "offline it is Python's language reference, and losses will not match the table"
        return "text", "not here yet", f"note: downloaded on first use; {offline}"
    try:
        if corpus.is_tiny_shakespeare("".join(corpus.read_chunks(path))):
            return "text", "Tiny Shakespeare", "ok"
    except corpus.BadInput as error:
        names = [os.path.join("data", name) for name in ("input.txt", "unusable.txt")]
        move = "move" if os.name == "nt" else "mv"
        return "text", str(error), f"FIX: {move} {names[0]} {names[1]}"
    return "text", "another text", "note: losses will not match the table"


def gpu_row() -> tuple[str, str, str]:
    """What torch can compute on."""
    if not installed("torch"):
        return "CUDA or MPS", "unknown until torch is installed", "note: run this again then"
    works, found = ask(LOOK_FOR_GPU)
    if not works:
        return "CUDA or MPS", found, f"FIX: {PYTHON} -m pip install --force-reinstall torch"
    idle = found.startswith("CPU") and shutil.which("nvidia-smi")
    note = "note: a GPU may be here: update its driver, or install a torch with CUDA (pytorch.org)"
    return "CUDA or MPS", found, note if idle else "ok"


def trial_rows() -> Iterator[tuple[str, str, str]]:
    """What takes torch and the lessons to find out: which presets fit, whether MPS is right."""
    if installed("torch"):
        works, said = ask(TRY_OUT)
        failed = [("a trial", said, f"FIX: {how_to_install()}")]
        yield from map(tuple, json.loads(said)) if works else failed


def kernel_row() -> tuple[str, str, str]:
    """The kernel that the notebooks ask for, from another folder."""
    works, answer = ask(LOOK_FOR_KERNEL)
    if works:
        found, ours = Path(answer).parent, Path(answer).resolve().parent == ROOT / "lessons"
        verdict = "ok" if ours else "note: another copy of the lessons"
        return "Jupyter kernel", f"imports {found}", verdict
    foreign = answer.startswith("lessons or") and sys.prefix not in answer
    remove = f"{PYTHON} -m jupyter_client.kernelspecapp remove python3"
    return "Jupyter kernel", answer, f"FIX: {remove if foreign else how_to_install()}"


def main() -> int:
    """Print the table; return 0 if there is nothing to fix, else 1."""
    rows = [python_row(sys.version_info[:2])]
    if sys.version_info >= OLDEST:  # the rest would describe a Python that has to be replaced
        rows += [*package_rows(), text_row(), *machine_rows(ROOT, PYTHON, bool(installed("torch")))]
        rows += [gpu_row(), *trial_rows(), kernel_row()]
    for row in rows:
        cells = (textwrap.wrap(row[i], WIDTHS[i], break_on_hyphens=False) for i in range(3))
        for line in zip_longest(*cells, fillvalue=""):
            print("{:14}  {:34}  {}".format(*line).rstrip())
    n_bad = sum(verdict.startswith("FIX") for _, _, verdict in rows)
    bad = f"{n_bad} to fix: do what each FIX says, in {ROOT}, and run this again."
    print("\n" + (bad if n_bad else "Nothing to fix: this machine is ready."))
    return min(n_bad, 1)


if __name__ == "__main__":
    sys.exit(importlib.import_module("lessons.errors").exits_cleanly(main)())
