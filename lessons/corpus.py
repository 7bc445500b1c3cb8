"""Plumbing · the text: find it, download it, verify it, or fall back to another one."""

import hashlib
import os
import sys
from collections.abc import Iterator, Sized
from pathlib import Path
from typing import TextIO

from lessons.errors import BadInput
from lessons.files import check_regular, write_whole

DATA_DIR = Path(__file__).resolve().parent.parent / "data"
URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
TINY_SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
MAX_BYTES = 10**9  # of a text that is kept in memory, where it takes ten times as much
TIMEOUT = 10  # seconds without a byte before a download is abandoned


def load_text(path: str | Path | None = None, data_dir: Path = DATA_DIR) -> str:
    """The text to learn from: the file at `path`, or Tiny Shakespeare.

    Without `path`: `data_dir`/input.txt; else a verified download, kept there; else,
    with no network, Python's own language reference. If that is not Tiny Shakespeare,
    one line on stderr says so. Raises BadInput for a file that is missing, empty, too large or
    not UTF-8, and for a pipe or a device.
    """
    if path is not None:
        return _read(Path(path))
    kept = data_dir / "input.txt"
    if kept.exists():
        text = _read(kept)
        if not is_tiny_shakespeare(text):
            _say(f"{kept} is not Tiny Shakespeare: the losses will not match the table.")
        return text
    try:
        text = _download()
    except OSError as error:  # requests' own errors are OSErrors too
        _say(
            f"Tiny Shakespeare could not be downloaded ({type(error).__name__}): using Python's "
            "own language reference, so the losses will not match the table."
        )
        return language_reference()
    try:
        write_whole(kept, text.encode("utf-8"))
    except OSError as error:
        _say(f"{kept} cannot be written ({error.strerror}): the text is kept in memory only.")
    return text


def sha256(text: str) -> str:
    """The SHA-256 of the text as UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def is_tiny_shakespeare(text: str) -> bool:
    """Whether this is the text that the recorded losses were measured on."""
    return sha256(text) == TINY_SHAKESPEARE_SHA256


def holds_tiny_shakespeare(path: Path) -> bool:
    """The same of the file at `path`, read as `load_text` reads it; False if it cannot be."""
    try:
        return is_tiny_shakespeare(_read(path))
    except BadInput:
        return False


def check_length(data: Sized, block_size: int) -> None:
    """Raises BadInput if `data`, (N,), is too short for block_size tokens and a target."""
    if len(data) <= block_size:
        raise BadInput(
            f"A context of {block_size} needs at least {block_size + 1} tokens in each split, "
            f"but this one has {len(data)}: use a longer text or a smaller block_size."
        )


def read_chunks(path: Path, n_chars: int = 2**22) -> Iterator[str]:
    """The characters of a UTF-8 file, in chunks; raises BadInput as `load_text` does.

    It may be of any size, but nothing may write to it meanwhile.
    """
    check_regular(path)
    try:
        # utf-8-sig drops the byte-order mark that some Windows editors write first.
        with open(path, encoding="utf-8-sig") as file:
            yield from _decoded(file, path, n_chars)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions."
        ) from None


def _decoded(file: TextIO, path: Path, n_chars: int) -> Iterator[str]:
    begun = _version(file)
    try:
        # Files of /proc say that they are empty, and some of them never end.
        chunk = file.read(n_chars) if begun[0] else ""
        if not chunk:
            raise BadInput(f"{path} is empty: put some text into it, or delete it.")
        while chunk:
            if _version(file) != begun:  # what is written to all the time might never end
                raise BadInput(f"{path} changed while it was read: try again once it is complete.")
            yield chunk
            chunk = file.read(n_chars)
    except UnicodeDecodeError as error:
        where = file.buffer.tell() - len(error.object) + error.start
        raise BadInput(
            f"{path} is not UTF-8 text (byte {where} cannot be decoded): "
            "save it as UTF-8 and try again."
        ) from None


def _version(file: TextIO) -> tuple[int, int]:
    """What differs once somebody has written to the file: its size and its time."""
    about = os.fstat(file.fileno())
    return about.st_size, about.st_mtime_ns


def _read(path: Path) -> str:
    check_regular(path, MAX_BYTES)
    return "".join(read_chunks(path))


class WrongChecksum(OSError):
    """What was downloaded is not Tiny Shakespeare."""


class RequestsIsNotInstalled(OSError):
    """The package that downloads is missing; `python -m lessons.doctor` says what to type."""


def _download() -> str:
    """Tiny Shakespeare, verified; raises OSError if it cannot be fetched."""
    # Imported here, because the doctor reads this module before any package is installed.
    try:
        import requests
    except ImportError:
        raise RequestsIsNotInstalled from None
    response = requests.get(URL, timeout=TIMEOUT)
    response.raise_for_status()
    text = response.content.decode("utf-8", errors="replace")
    if not is_tiny_shakespeare(text):
        raise WrongChecksum
    return text


def language_reference() -> str:
    """The language reference of the Python that runs this: half a million characters of English."""
    from pydoc_data.topics import topics

    return "\n".join(topics.values())


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
