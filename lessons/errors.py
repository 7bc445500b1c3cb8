"""Plumbing · one clear sentence instead of a stack of frames."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable

from lessons.console import consoles


class BadInput(ValueError):
    """What is wrong with the input and what to do about it, in one sentence.

    A notebook shows only the sentence; a script prints it and exits with status 2.
    """

    def _render_traceback_(self) -> list[str]:
        # IPython calls this, where it exists, instead of printing every frame.
        return [f"BadInput: {self}"]


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop and has saved its state; says how to resume it."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def first_line(error: BaseException) -> str:
    """The first line of another library's error, or the error's type if it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def refused(error: OSError) -> BadInput:
    """What the operating system would not do, as a BadInput that names the file if there is one."""
    given = (error.filename, error.filename2)
    names = [os.fsdecode(name) for name in given if isinstance(name, (str, bytes, os.PathLike))]
    reason = error.strerror or first_line(error)
    if not names:  # a full disk does not say which file, and much else has none
        return BadInput(f"The operating system refused to go on ({reason}): check the room on the "
                        "disk, the memory and the network, and try again.")  # fmt: skip
    return BadInput(
        f"{' and '.join(names)} cannot be read or written ({reason}): check the path, its "
        "permissions and the room on the disk, or name another."
    )


def check_words(words: list[str]) -> None:
    """Raises BadInput for an argument that cannot be the name of a file, and so ends in frames."""
    for word in words:
        try:
            known = b"\0" not in os.fsencode(word)
        except UnicodeEncodeError:
            known = False
        if not known:
            raise BadInput(f"The argument {word!r} holds what no file name can: type it again.")


def exits_cleanly(main: Callable[[], int | None]) -> Callable[[], int | None]:
    """Wrap a script's `main`: what is not an error of the program ends in one sentence on stderr.

    Bad input and what the operating system refuses exit with status 2, Ctrl-C with 130. Output
    that nobody reads stops nothing; output that the system refused makes the status 2 at the end.
    """

    @functools.wraps(main)
    def wrapped() -> int | None:
        with consoles() as output:
            try:
                check_words(sys.argv[1:])
                status = main()
            except (BadInput, OSError) as error:
                sentence = refused(error) if isinstance(error, OSError) else error
                print(f"error: {sentence}", file=sys.stderr)
                sys.exit(2)
            except KeyboardInterrupt as stop:
                print(f"\n{str(stop) or 'Stopped.'}", file=sys.stderr)
                sys.exit(130)
            output.flush()
            if gap := output.gap():
                print(f"error: Not all of the output could be written ({gap}); everything else is "
                      "done: send the output elsewhere.", file=sys.stderr)  # fmt: skip
                sys.exit(2)
            return status

    return wrapped
