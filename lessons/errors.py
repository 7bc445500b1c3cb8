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


def exits_cleanly(main: Callable[[], None]) -> Callable[[], None]:
    """Wrap a script's `main`: bad input becomes one sentence on stderr and exit status 2."""

    @functools.wraps(main)
    def wrapped() -> None:
        try:
            main()
        except BadInput as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    return wrapped
