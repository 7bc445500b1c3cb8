"""A workshop's folder appears whole or not at all, and its zips have the same bytes each time."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from lessons.errors import BadInput

# The file that marks a folder as a workshop, which a newer one may replace, and how it begins.
MARK, MADE = "ABOUT.txt", "Made by helper_scripts/workshop/make.py of The GPT Ladder"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes


def pack(folder: Path, archive: Path, top: str) -> None:
    """A zip of the folder, whose files lie in one folder called `top`."""
    with ZipFile(archive, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = ZipInfo(f"{top}/{path.relative_to(folder).as_posix()}", ZIP_TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            # A wheel is a zip already.
            entry.compress_type = ZIP_STORED if path.suffix == ".whl" else ZIP_DEFLATED
            entry.file_size = path.stat().st_size
            with open(path, "rb") as file, packed.open(entry, "w") as target:
                shutil.copyfileobj(file, target, 2**20)


def may_go(out: Path) -> bool:
    """Whether nothing is lost if `out` goes: it is missing, empty, or an older workshop."""
    if not out.is_dir() or not any(out.iterdir()):
        return out.is_dir() or not out.exists()
    mark = out / MARK
    return mark.is_file() and mark.read_bytes().startswith(MADE.encode())


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `out` when the block ends, and not if it fails."""
    if not may_go(out):
        raise BadInput(f"{out} is not an earlier workshop (its {MARK} is missing): name another.")
    new, old = (out.with_name(f".{out.name}.{os.getpid()}.{word}.tmp") for word in ("new", "old"))
    try:
        new.mkdir(parents=True)
        yield new
        if out.exists():
            os.replace(out, old)
        os.replace(new, out)
    finally:
        if old.exists() and not out.exists():  # stopped between the two moves
            os.replace(old, out)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
