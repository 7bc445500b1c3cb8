"""Plumbing · an answer that never ends is given up on, and everything else is left in peace."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

TIME_LIMIT = 1.5  # seconds of the answer's own code; every check needs a small fraction of it
PATIENCE = 60  # seconds for all of a check, with what the answer imports


class TimeUp(BaseException):
    """Ends a learner's endless loop; no `except Exception` in that loop can catch it."""


def on_the_clock(answer: Callable, *inputs):
    """Call an answer; what is called from here is the learner's, and is what the clock counts."""
    return answer(*inputs)


def within(seconds: float, call: Callable[[], object], file: str | None) -> None:
    """Run `call`, or raise TimeUp when the answer in `file` has had so many seconds.

    Unlike signals, it works on Windows.
    """
    watched = _Watched(call, file)
    late = None
    try:
        late = watched.wait(seconds)
    finally:  # also when the reader interrupts the cell
        watched.end()
    if late:
        still = " It is still running: restart the kernel." if watched.is_alive() else ""
        raise TimeUp(late + still)
    if watched.errors:
        raise watched.errors[0]


@dataclass
class _Spent:
    """How long the answer has run: by the clock, and on the processor, where that is known."""

    wall: float = 0
    cpu: float = 0

    @property
    def seconds(self) -> float:
        """On a busy machine a thread waits for its turn; one that sleeps does not compute."""
        return self.cpu if self.cpu > 0.03 * self.wall else self.wall


class _Watched(threading.Thread):
    """A thread whose time is counted while it is in the answer, and that is ended only there."""

    def __init__(self, call: Callable[[], object], file: str | None):
        super().__init__(daemon=True)
        self.call, self.file = call, file
        self.errors: list[BaseException] = []
        self.cpu_clock: int | None = None
        self.began = time.monotonic()
        self.start()

    def run(self) -> None:
        """What the thread does."""
        if hasattr(time, "pthread_getcpuclockid"):  # on Linux
            self.cpu_clock = time.pthread_getcpuclockid(threading.get_ident())
        try:
            self.call()
        except BaseException as error:
            self.errors.append(error)

    def wait(self, seconds: float) -> str | None:
        """Wait for the end; a sentence if the answer has had its time before."""
        spent, then, then_on_cpu = _Spent(), self.began, 0.0
        while True:
            self.join(0.02)
            if not self.is_alive():
                return None
            now, now_on_cpu = time.monotonic(), self._on_cpu()
            if self._place() == "answer":
                spent.wall += now - then
                spent.cpu += now_on_cpu - then_on_cpu
            then, then_on_cpu = now, now_on_cpu
            if spent.seconds >= seconds:
                return f"No answer after {seconds} seconds: is there a loop that never ends?"
            if now - self.began >= PATIENCE:
                return f"No answer after {PATIENCE} seconds: what takes so long to import?"

    def end(self) -> None:
        """Raise TimeUp in the answer, again and again, for it may catch it."""
        start, on_cpu, waited = time.monotonic(), self._on_cpu(), 0.0
        while self.is_alive() and waited < 2:
            waited = time.monotonic() - start
            if waited > 0.3 and self._on_cpu() == on_cpu:
                return  # it sleeps, or waits for something
            if self._place() == "answer":
                # Python's own way to raise in another thread, at its next call or loop iteration.
                ident, raised = ctypes.c_ulong(self.ident), ctypes.py_object(TimeUp)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, raised)
            self.join(0.01)

    def _on_cpu(self) -> float:
        try:
            if self.cpu_clock:
                return time.clock_gettime(self.cpu_clock)
        except OSError:  # the thread has ended
            return 0.0
        return time.monotonic() - self.began

    def _place(self) -> str:
        """What the thread is in: an import, which must not be interrupted, or the answer."""
        frame, place = sys._current_frames().get(self.ident), "check"
        while frame:
            if _is_import(frame):
                return "import"
            if frame.f_code is on_the_clock.__code__ or frame.f_code.co_filename == self.file:
                place = "answer"
            frame = frame.f_back
        return place


def _is_import(frame: FrameType) -> bool:
    """Inside Python's import, or where torch.compile compiles: a half-done one stays broken."""
    name = frame.f_code.co_filename
    return name.startswith("<frozen importlib") or name.endswith("convert_frame.py")
