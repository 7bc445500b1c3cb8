"""A folder and zips to hand out in a workshop: students' notebooks, solutions apart.

--out/students (and students.zip) holds the course without outputs and without solutions, a page
that says how to start, and, with --wheels, the packages, so that setting up needs no network.
Files with the names of the course's own are taken; where there is git, only those it tracks.
pip's settings apply to --wheels: name an index of CPU builds in PIP_EXTRA_INDEX_URL, or else Linux
gets a torch with CUDA, several gigabytes.
"""

import argparse
import itertools
import os
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path

import wheels
from folder import MADE, MARK, pack, replacing
from lessons.arguments import Parser
from lessons.corpus import holds_tiny_shakespeare
from lessons.course.address import from_toml
from lessons.course.notebook_file import read_notebook, text_of
from lessons.errors import BadInput, exits_cleanly
from lessons.files import check_regular, read_text

from nbconvert.preprocessors import ClearOutputPreprocessor

THIS_PYTHON = "{}.{}.{}".format(*sys.version_info)
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STUDENTS = [
    *("notebooks/[0-9][0-9]_*.ipynb", "lessons/**/*.py", "helper_scripts/**/*.py", "images/*"),
    *(
        "data/losses/*.csv",
        "data/losses/*.json",
        "data/experiments/*.csv",
        "data/experiments/*.json",
    ),
    *("README.md", "GLOSSARY.md", "LICENSE"),
    *("pyproject.toml", "constraints.txt", "environment.yml", "Makefile"),
]
SOLUTIONS = ["notebooks/solutions/*.ipynb"]
TEACHER = ["TEACHING.md"]
ABOUT = f"""\
{MADE}, which replaces this whole folder when
it is run again: keep nothing of your own here.

students.zip    hand it out; what is in it lies in students/, and START.html there says how to
                start
solutions.zip   hand it out afterwards; what is in it lies in solutions/, and its place in the
                students' folder is notebooks/solutions, where README.md looks for it

No network in the room? Bring students.zip with wheels (--wheels), and the installer of the same
Python version for each system.
"""


def of_git(root: Path) -> set[Path] | None:
    """The files that git tracks here, or None where there is no git."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        result = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        return None
    if result.returncode and (root / ".git").exists():
        said = result.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(f"git cannot say which files are the course's: {said[0] if said else ''}")
    # Nothing: a copy without git in a folder of some other repository.
    names = [os.fsdecode(name) for name in result.stdout.split(b"\0") if name]
    return {root / name for name in names} or None


def matching(root: Path, patterns: list[str], known: set[Path] | None) -> list[Path]:
    """The files with these names, of those that git tracks."""
    found = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return [path for path in found if path.is_file() and (known is None or path in known)]


def cleared(notebook: Path) -> str:
    """The notebook's text without outputs and counts."""
    clear = ClearOutputPreprocessor(remove_metadata_fields={"execution"})
    return text_of(clear.preprocess(read_notebook(notebook), {})[0])


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def copy_students(files: list[Path], folder: Path) -> None:
    """The students' files, with empty notebooks, in the same folders as here."""
    for file in files:
        path = folder / file.relative_to(ROOT)
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".ipynb":
            write(path, cleared(file))
        else:
            shutil.copyfile(file, path)
    shutil.copyfile(HERE / "start.py", folder / "start.py")
    text = ROOT / "data" / "input.txt"
    if not text.exists():
        print("data/input.txt is missing, so not handed out: the notebooks download the text.")
        return
    check_regular(text)
    if not holds_tiny_shakespeare(text):
        print("data/input.txt is not Tiny Shakespeare, and is handed out as it is.")
    shutil.copyfile(text, folder / "data" / "input.txt")


def start_page(kits: list[str]) -> str:
    """START.html, for these wheels, or for the network where there are none."""
    minor = list(dict.fromkeys(re.findall(r"Python (3\.\d+)", " ".join(kits))))
    words = {
        "python": f"Python {' or '.join(minor)}" if kits else "Python 3.11 or newer",
        "windows": f"py -{minor[0]}" if kits else "py",
        "unix": f"python{minor[0]}" if kits else "python3",
        "network": f"They need no network: the packages for {' and '.join(kits)} are in the folder."
        if kits
        else "They need a network: the packages are about half a gigabyte, and several on Linux.",
    }
    page = HERE / "start.html"
    try:
        return string.Template(read_text(page)).substitute(words)
    except (KeyError, ValueError) as error:
        raise BadInput(f"{page} has a $ that stands for nothing ({error}): restore it.") from None


def make(folder: Path, platforms: list[str], pythons: list[str]) -> None:
    """Fill the folder, with wheels for these platforms and Pythons, if there are any."""
    known = of_git(ROOT)
    if known is None:
        print("There is no git here: every file with the name of one of the course's is taken.")
    students, solutions = folder / "students", folder / "solutions"
    solved = matching(ROOT, SOLUTIONS, known)
    if not solved:
        raise BadInput("There are no solutions in notebooks/solutions that git tracks: add them.")
    solutions.mkdir()
    for path in solved:
        shutil.copyfile(path, solutions / path.name)
    for path in matching(ROOT, TEACHER, known):
        shutil.copyfile(path, folder / path.name)
    copy_students(matching(ROOT, STUDENTS, known), students)
    targets = list(itertools.product(platforms, pythons))
    kits = [wheels.described(*target) for target in targets]
    write(students / "START.html", start_page(kits))
    lists = ("project dependencies", "project optional-dependencies lab")
    packages = [name for keys in lists for name in from_toml(ROOT / "pyproject.toml", keys, list)]
    packages += ["pip"]
    for kit, target in zip(kits, targets, strict=True):
        print(f"wheels for {kit}", flush=True)
        wheels.fetch_wheels(students / "wheels", packages, ROOT / "constraints.txt", *target)
    pack(students, folder / "students.zip", "gpt-ladder")
    pack(solutions, folder / "solutions.zip", "gpt-ladder-solutions")
    write(folder / MARK, ABOUT)


def a_python(version: str) -> str:
    """A version of Python that the course runs on, such as 3.12 or 3.12.4."""
    match = re.fullmatch(r"3\.(\d+)(\.\d+)?", version)
    if not match or int(match[1]) < 11:
        raise argparse.ArgumentTypeError(f"{version!r} is not 3.11 or newer, such as 3.12.4")
    return version


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("workshop"), metavar="FOLDER",
                        help="the folder to make, beside its zips (default: workshop)")  # fmt: skip
    parser.add_argument("--wheels", action="store_true", help="add the packages: needs a network")
    parser.add_argument("--platform", nargs="+",
                        choices=[wheels.THIS, *wheels.PLATFORMS],
                        help="for which computers (default: this, one like this one)")  # fmt: skip
    parser.add_argument("--python", nargs="+", type=a_python, metavar="3.12",
                        help="for which Pythons (default: this one)")  # fmt: skip
    args = parser.parse_args()
    if (args.platform or args.python) and not args.wheels:
        parser.error("--platform and --python say which wheels: add --wheels")
    platforms, pythons = args.platform or [wheels.THIS], args.python or [THIS_PYTHON]
    with replacing(args.out.resolve()) as folder:
        make(folder, *((platforms, pythons) if args.wheels else ([], [])))
    for archive in sorted(args.out.glob("*.zip")):
        print(f"{archive} ({archive.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
