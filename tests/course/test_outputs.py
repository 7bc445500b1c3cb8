"""What a notebook prints is compared as far as it is the same on every machine."""

import re
import shutil
import subprocess
import sys

from lessons.corpus import DATA_DIR, holds_tiny_shakespeare
from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.course.outputs import COMPARED, PRINTS, agree, kind_of_print, printed

import nbformat
import pytest

LESSONS = lesson_paths(ROOT / "notebooks")


@pytest.mark.lint
@pytest.mark.parametrize(
    "path", [*LESSONS, *map(solutions_of, LESSONS)], ids=lambda path: path.stem
)
def test_every_print_is_compared_or_named_as_a_time_or_a_sample(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    for cell in cells:
        kinds = kind_of_print(cell)
        if printed(cell):
            assert len(kinds) == 1, f"tag it with one of {', '.join(PRINTS)}:\n{cell.source}"
        elif not cell.outputs:
            assert not kinds, f"it shows nothing: remove the tag {kinds}:\n{cell.source}"
    compared = [cell for cell in cells if set(kind_of_print(cell)) & set(COMPARED)]
    assert all(cell.execution_count for cell in compared)  # else nbval compares nothing


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("step  loss\n   10  2.487\n", True),
        ("step loss\n 10 2.50", True),  # spaces are not compared
        ("step loss\n 10 2.51", False),
        ("step loss\n 11 2.487", False),
        ("step error\n 10 2.487", False),
        ("step loss\n 10 2.487 2.487", False),
        ("step loss\n 10 -2.487", False),
        ("step loss\n 10 nan", False),
        ("step loss\n 10 2.4e+00", True),
        ("step loss\n 10 2.4e+01", False),
    ],
)
def test_losses_agree_within_two_hundredths_and_all_else_to_the_letter(other, same):
    text = "step loss\n 10 2.487"
    assert agree(text, other) == agree(other, text) == same


def test_an_error_of_rounding_agrees_with_another_and_with_none():
    assert agree("largest difference 2e-07", "largest difference 0e+00")
    assert not agree("largest difference 2e-07", "largest difference 1e-02")
    assert agree("1,003,854 tokens", "1,003,854 tokens")
    assert not agree("1,003,854 tokens", "1,003,853 tokens")


# Tag, what a cell printed before, what it prints now, and whether nbval passes it.
CASES = [
    ("nbval-check-output", "loss 2.00", "loss 2.01", False),
    ("nbval-check-output", "loss 2.00", "loss 2.00", True),
    ("shakespeare", "loss 2.00", "loss 2.01", False),
    ("shakespeare", "loss 2.00", "loss 2.00", True),
    ("losses", "loss 2.00", "loss 2.01", True),
    ("losses", "loss 2.00", "loss 2.05", False),
    ("losses", "loss 2.00", "gain 2.00", False),
    ("timing", "loss 2.00", "loss 2.05", True),
    ("sample", "loss 2.00", "loss 2.05", True),
]


@pytest.mark.slow
def test_nbval_compares_a_cell_as_its_tag_says(tmp_path):
    if not holds_tiny_shakespeare(DATA_DIR / "input.txt"):
        pytest.skip("Tiny Shakespeare is not here")
    cells = []
    for n, (tag, before, now, _) in enumerate(CASES, 1):
        cell = nbformat.v4.new_code_cell(f"print({now!r})", execution_count=n)
        cell.metadata["tags"] = [tag]
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{before}\n")]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "one.ipynb")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--nbval-lax",
               "--nbval-current-env", "one.ipynb"]  # fmt: skip
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    outcomes = re.findall(r"::Cell \d+ (PASSED|FAILED)", said)
    assert outcomes == ["PASSED" if passes else "FAILED" for *_, passes in CASES], said
