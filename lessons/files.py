"""Plumbing · files written whole or not at all; JSON and CSV files, checked when they are read."""

from __future__ import annotations

import json
import math
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lessons.columns import check_end, read_columns, split_lines
from lessons.errors import BadInput, refused

if TYPE_CHECKING:
    import pandas as pd

MAX_TABLE_BYTES = 10**8  # of a JSON or CSV file; those of the course have some thousands


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that replaces `path` when the block ends, and not if it fails.

    A kill or a power cut at any moment leaves the old file or the new one, never half of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else the new name may survive a power cut, but not its bytes
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # a full disk does not say which file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` with `whole_file`."""
    with whole_file(path) as file:
        file.write(content)


def _sync_folder(folder: Path) -> None:
    """Make a new name survive a power cut, where the system allows it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def link(source: Path, target: Path) -> None:
    """Give a file a second name, replacing any other file of that name; a copy if links fail.

    A kill at any moment leaves `target` as it was or as it should be.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        with open(source, "rb") as old, whole_file(target) as new:
            shutil.copyfileobj(old, new)
        return
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # still there if both were names of one file already


def check_writable(folder: Path) -> None:
    """Raises BadInput if nothing can be written here, before there is anything to lose."""
    try:
        trial = folder / f".writable.{os.getpid()}"  # another process may try it at the same time
        write_whole(trial, b"")
        trial.unlink()
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror}): name another folder with --out."
        ) from None


def check_regular(path: Path, max_bytes: float = math.inf) -> None:
    """Raises BadInput for what could be read for ever: a folder, a pipe, a device, a huge file."""
    try:
        about = path.stat()
    except (OSError, ValueError):  # whoever opens it will say why it cannot be read
        return
    if not stat.S_ISREG(mode := about.st_mode):
        if stat.S_ISDIR(mode):
            raise BadInput(f"{path} is a folder, not a regular file: name a file, or move the "
                           "folder elsewhere if a file should be there.")  # fmt: skip
        kind = "device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "pipe or socket"
        raise BadInput(f"{path} is a {kind}, not a regular file: save what it gives into one, and "
                       "name that.")  # fmt: skip
    if about.st_size > max_bytes:
        raise BadInput(f"{path} has {about.st_size / 1e9:,.1f} GB, too much to read at once: use a "
                       "part of it.")  # fmt: skip


def write_json(path: Path, values: dict) -> None:
    """Write `values` as a whole file."""
    write_whole(path, (json.dumps(values, indent=2) + "\n").encode())


def read_json(path: Path, missing: str | None = None) -> dict:
    """The object in a JSON file; raises BadInput if it is missing or holds anything else.

    `missing` is as in `read_text`.
    """
    text = read_text(path, missing)
    try:
        values = parse_json(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise BadInput(f"{path} does not hold a JSON object: restore it, or use another folder.")
    return values


def parse_json(text: str) -> object:
    """What a JSON text says; raises ValueError for what Python would let pass."""
    try:
        values = json.loads(text, parse_constant=_no_json, object_pairs_hook=_each_key_once)
        json.dumps(values, ensure_ascii=False).encode()  # half a character could not be printed
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return values


def _no_json(word: str) -> None:
    raise ValueError(f"{word} is Python's, not JSON's")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def read_text(path: Path, missing: str | None = None) -> str:
    """The text of a small file; raises BadInput if it cannot be read or is not UTF-8.

    `missing` is the sentence for a file that is not there.
    """
    check_regular(path, MAX_TABLE_BYTES)
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows' editors begin with a mark
    except OSError as error:
        absent = missing and isinstance(error, FileNotFoundError)
        raise (BadInput(missing) if absent else refused(error)) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text: save it as UTF-8, or restore it.") from None


def write_csv(path: Path, table: pd.DataFrame, float_format: str = "%.5f") -> None:
    """Write a table as a whole file; losses have five decimals, and nothing where they diverged."""
    table = table.replace([math.inf, -math.inf], math.nan)
    rows = table.to_csv(index=False, float_format=float_format, lineterminator="\n")
    write_whole(path, rows.encode())


def read_csv(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """A record's table with at least these columns, its cells as lessons/columns.py says.

    Raises BadInput, naming the line, for anything else.
    """
    # Imported here, because the doctor imports this module before any package is installed.
    import pandas as pd

    columns, text = list(columns), read_text(path)
    header, rows = split_lines(text)
    missing = [column for column in columns if column not in header]
    if not header:
        raise BadInput(f"{path} is not a CSV file with a header line: restore it, or move it away.")
    if missing:
        raise BadInput(f"{path} has no column {missing[0]!r}: it needs {', '.join(columns)}.")
    if not rows:
        raise BadInput(f"{path} has no rows: restore it, or move it elsewhere.")
    try:
        check_end(text, rows)
        return pd.DataFrame(read_columns(header, rows))
    except BadInput as problem:
        raise BadInput(
            f"{path} is not as it was written ({problem}): restore it, or move it elsewhere and "
            "measure again."
        ) from None
