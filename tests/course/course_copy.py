"""The course in another folder, for tests to run or to change."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_of_the_course(folder: Path) -> None:
    """The repository's files, committed or about to be; without git, all but caches."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        paths = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        hidden = {"__pycache__", ".venv", ".pytest_cache", ".ruff_cache", ".hypothesis"}
        listed = [str(path) for path in paths if not hidden & set(path.parts)]
    for name in listed:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
