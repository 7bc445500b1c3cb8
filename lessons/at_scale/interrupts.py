"""Plumbing · Ctrl-C as a request: stop after this step, not in the middle of it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """In this block the first Ctrl-C or SIGTERM only makes the yielded function return True.

    A second one ends the program at once, as usual; stderr says so, for a step may be long.
    """
    asked = threading.Event()
    # Only the main thread may have handlers; elsewhere nothing is caught.
    catchable = (signal.SIGINT, signal.SIGTERM)
    signals = catchable if threading.current_thread() is threading.main_thread() else ()

    def note(number, frame) -> None:
        asked.set()
        signal.signal(number, before[number])
        if os.environ.get("RANK", "0") == "0":
            # Not print, which the signal may have interrupted. Whoever read it, such as `tee`, may
            # have been stopped by the same Ctrl-C: an error here would end the step unsaved.
            with suppress(OSError):
                os.write(2, b"\nStopping after this step; a second time stops at once.\n")

    before = {number: signal.signal(number, note) for number in signals}
    try:
        yield asked.is_set
    except BaseException:
        if "LOCAL_RANK" in os.environ and signals:
            # When one process has died, torchrun sends the others SIGTERM at once: they must
            # print their sentence first.
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
