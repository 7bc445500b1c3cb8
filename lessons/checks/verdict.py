"""Plumbing · what a check returns, and how it runs code that may be wrong in any way."""

import ctypes
import functools
import html
import inspect
import linecache
import random
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

TIME_LIMIT = 1.5  # seconds; every check needs a small fraction of it


@dataclass(frozen=True)
class Verdict:
    """What a check found out about an exercise, and one sentence about it."""

    exercise: str
    passed: bool
    message: str
    attempted: bool = True

    @property
    def word(self) -> str:
        """Passed, not yet, or not attempted."""
        if self.passed:
            return "passed"
        return "not yet" if self.attempted else "not attempted"

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.word}. {self.message}"

    def _repr_html_(self) -> str:
        message = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.message))
        border = {"passed": "solid", "not yet": "double", "not attempted": "dotted"}[self.word]
        return (
            f'<div style="border-left: 6px {border} gray; padding-left: 0.8em">'
            f"<code>{self.exercise}</code>: <b>{self.word}</b>. {message}</div>"
        )


class Mistake(Exception):
    """What an answer gets wrong, in a sentence.

    `known` if the check recognises its cause; `size` if a hard-coded size may be the cause.
    """

    def __init__(self, sentence: str, known: bool = True, size: bool = False):
        super().__init__(sentence)
        self.known, self.size = known, size


class Unwritten(Exception):
    """The answer is still the stub."""


class TimeUp(BaseException):
    """Ends a learner's endless loop; no `except Exception` in that loop can catch it."""


@dataclass(frozen=True)
class Failed:
    """An experiment that raised an exception: its check says which."""

    message: str


def check(look: Callable) -> Callable[..., Verdict]:
    """Turn `look`, which raises the Mistake it finds, into a check.

    For a table that passes it returns what to say: what it looked at, and what it did not.
    """

    @functools.wraps(look)
    def wrapped(answer, *facts) -> Verdict:
        name, said = look.__name__, None
        try:
            if answer is None:  # what `attempt` returns for a stub
                raise Unwritten
            if isinstance(answer, Failed):
                raise Mistake(answer.message)
            with own_random_state():
                if callable(answer):
                    within(TIME_LIMIT, lambda: look(answer, *facts))
                else:  # a table: none of the learner's code runs
                    said = look(answer, *facts)
        except Unwritten:
            todo = "Replace `raise NotImplementedError` by your code, and run both cells again."
            return Verdict(name, False, todo, attempted=False)
        except Mistake as mistake:
            return Verdict(name, False, str(mistake))
        except TimeUp as late:
            return Verdict(name, False, str(late))
        except Exception as error:  # an answer in a form that nobody foresaw
            odd = f"The check cannot read this answer ({type(error).__name__}: {error}): "
            return Verdict(name, False, odd + "compare its form with the docstring's example.")
        return Verdict(name, True, said or "Right in every case.")

    return wrapped


@contextmanager
def own_random_state() -> Iterator[None]:
    """Seed the global random states for an answer, then put the notebook's back.

    Only those of the CPU: nothing that is checked runs on a GPU.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(1337)
    np.random.seed(1337)
    torch.random.default_generator.manual_seed(1337)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def attempt(experiment: Callable) -> object:
    """Run an experiment, however long it takes, and return what its check takes.

    That is the result, None if it is still the stub, or Failed with a sentence on what it raised.
    """
    try:
        result = experiment()
    except Exception as error:
        if is_stub(error, experiment):
            return None
        again = f" `{experiment.__name__}()` by itself shows the whole traceback."
        return Failed(f"In the experiment {describe(error, experiment)}.{again}")
    if result is None:
        return Failed("It returns nothing: end it with `return` and a table.")
    return result


def is_stub(error: BaseException, answer: Callable) -> bool:
    """Whether this is the NotImplementedError of a stub, and not one from inside PyTorch."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return isinstance(error, NotImplementedError) and last.filename == file_of(answer)


def describe(error: BaseException, answer: Callable) -> str:
    """What the answer's code raised, and at which line, as part of a sentence."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file_of(answer)]
    where = ""
    if own:
        line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno).strip()
        where = f" at `{line}`"
    said = " ".join(str(error).split()) or "no message"
    return f"your code raised {type(error).__name__}{where}: {said[:200].rstrip('.')}"


def file_of(answer: Callable) -> str | None:
    """The file or notebook cell that defines a function, a class, or a module's class."""
    answer = inspect.unwrap(answer)  # it may be decorated, as with torch.no_grad()
    if not hasattr(answer, "__code__"):
        methods = vars(answer if isinstance(answer, type) else type(answer)).values()
        answer = next((method for method in methods if hasattr(method, "__code__")), None)
    return answer and answer.__code__.co_filename


def within(seconds: float, call: Callable[[], object]) -> None:
    """Run `call`, or raise TimeUp after so many seconds; unlike signals, it works on Windows."""
    errors = []

    def work() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # also when the reader interrupts the cell
        late, end = thread.is_alive(), time.monotonic() + 0.3
        while thread.is_alive() and time.monotonic() < end:
            # Python's own way to raise in another thread, at its next call or loop iteration.
            ident, raised = ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, raised)
            thread.join(0.05)
        if late:
            still = " It is still running: restart the kernel." if thread.is_alive() else ""
            said = f"No answer after {seconds} seconds: is there a loop that never ends?{still}"
            errors.insert(0, TimeUp(said))
    if errors:
        raise errors[0]
