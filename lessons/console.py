"""Plumbing · what a script prints never stops its work: a reader may go, a console be old."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

# How systems say that nobody reads any more, as in `make train | head -1`: no error.
READER_HAS_GONE = (errno.EPIPE, errno.EINVAL)


class Console:
    """A text stream whose `write` and `flush` never fail.

    A character that the console cannot show is written as its code, such as \\u2192. What the
    system refuses, because the reader has gone or the disk is full, is dropped, and so is all that
    follows: `lost` is then the system's error.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream
        self.lost: OSError | None = None

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Print `text`, as far as that is possible; returns its length."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            self._drop_all(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what is in the buffer."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop_all(error)

    def _drop_all(self, error: OSError) -> None:
        self.lost = error
        # What is still in the buffer goes nowhere too, else it would fail again when Python ends.
        with suppress(OSError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())
            self._stream.flush()

    def gap(self) -> str | None:
        """What the system said when it refused output, unless only the reader had gone."""
        if self.lost is None or self.lost.errno in READER_HAS_GONE:
            return None
        return self.lost.strerror


def use_consoles() -> None:
    """From now on this process can print without a thought of who reads."""
    # A descriptor that was closed, as by `2>&-`, would go to the next file that is opened, and
    # whatever a library prints would land there.
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115  # until Python ends
        setattr(sys, name, Console(stream))


@contextmanager
def consoles() -> Iterator[Console]:
    """`use_consoles` in this block; yields standard output, which is flushed at its end."""
    before = sys.stdout, sys.stderr
    use_consoles()
    mine = sys.stdout, sys.stderr
    try:
        yield mine[0]
    finally:
        for stream in mine:
            stream.flush()
        sys.stdout, sys.stderr = before


def nobody_reads() -> bool:
    """Whether printing has become pointless."""
    sys.stdout.flush()
    return getattr(sys.stdout, "lost", None) is not None
