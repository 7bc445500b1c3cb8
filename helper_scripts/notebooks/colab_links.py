"""Write the Colab badge and the setup cell of every notebook.

Owner, repository and branch come from pyproject.toml; --fork writes them there from git
remote; `make notebooks` then brings all else up to date.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from lessons.course.address import ROOT, address, badge
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.course.markers import write_or_check
from lessons.course.notebook_file import parse_notebook, text_of
from lessons.errors import BadInput, exits_cleanly
from lessons.files import read_text, write_whole

import nbformat

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)")

SETUP = """\
# In Colab this fetches the course, once; anywhere else it does nothing.
import importlib.util
import subprocess
import sys
from pathlib import Path

if "google.colab" in sys.modules and importlib.util.find_spec("lessons") is None:
    course = Path("{repository}").resolve()
    if not course.exists():
        url = "https://github.com/{owner}/{repository}.git"
        clone = ["git", "clone", "--quiet", "--depth=1", "--branch={branch}", url, str(course)]
        subprocess.run(clone, check=True)
    # The course's ranges admit Colab's own torch and numpy, so pip leaves them alone.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", str(course)]
    subprocess.run(pip, check=True)
    sys.path.insert(0, str(course))\
"""


def fork() -> dict[str, str]:
    """owner, repository and branch of this fork of the course, from git."""
    git = ["git", "-C", str(ROOT)]
    if not shutil.which("git"):
        raise BadInput("There is no git here to ask for the address of this fork: install it.")
    remote = subprocess.run([*git, "remote", "get-url", "origin"], capture_output=True, text=True)
    match = re.search(r"github\.com[:/]([^/]+)/(.+?)(\.git)?$", remote.stdout.strip())
    if not match:
        raise BadInput("This checkout has no remote `origin` on GitHub: add it with git remote.")
    branch = subprocess.run([*git, "branch", "--show-current"], capture_output=True, text=True)
    return {"owner": match[1], "repository": match[2], "branch": branch.stdout.strip() or "main"}


def adopt(place: dict[str, str], pyproject: Path) -> None:
    """Write a fork's address into its pyproject.toml, so that everything else agrees with it."""
    text = read_text(pyproject)
    for key, value in place.items():
        text = re.sub(rf'^{key} = ".*"$', f'{key} = "{value}"', text, flags=re.MULTILINE)
    write_whole(pyproject, text.encode())


def linked(notebook: nbformat.NotebookNode, path: Path, place: dict[str, str]) -> str:
    """The notebook's text with its badge and setup cell as they should be."""
    head, setup = (notebook.cells[:2] + [None] * 2)[:2]
    if not (setup and BADGE.search(head.source) and "google.colab" in setup.source):
        raise BadInput(f"{path.name} must begin with a badge, then the setup cell: add them.")
    head.source = BADGE.sub(badge(place, path), head.source, count=1)
    setup.source = SETUP.format(**place)
    return text_of(notebook)


@exits_cleanly
def main() -> None:
    parser = write_or_check(__doc__.splitlines()[0])
    parser.add_argument(
        "--fork", action="store_true", help="take the address from git remote; then: make notebooks"
    )
    args = parser.parse_args()
    place = fork() if args.fork else address()
    if args.fork and args.write:
        adopt(place, ROOT / "pyproject.toml")
    old, new = {}, {}
    lessons = lesson_paths(ROOT / "notebooks")
    for path in [*lessons, *filter(Path.exists, map(solutions_of, lessons))]:
        old[path] = read_text(path)
        new[path] = linked(parse_notebook(old[path], path), path, place)
    stale = [path for path, text in new.items() if old[path] != text]
    if stale and args.check:
        sys.exit("\n".join(f"{path.name} is stale: run `make notebooks`." for path in stale))
    for path in stale:
        write_whole(path, new[path].encode())
        print(f"{path.name} written")


if __name__ == "__main__":
    main()
