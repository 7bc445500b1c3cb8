"""Plumbing · one clear sentence instead of a stack of frames."""

import functools
import sys
from collections.abc import Callable


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


def exits_cleanly(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap a script's `main`: bad input and Ctrl-C end it with one sentence on stderr."""

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            main()
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as stop:
            print(f"\n{str(stop) or 'Stopped.'}", file=sys.stderr)
            sys.exit(130)

    return wrapped
