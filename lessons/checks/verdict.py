"""Plumbing · what a check answers, and how it runs code that may be wrong in any way."""

import ctypes
import functools
import html
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch

from lessons.errors import BadInput

TIME_LIMIT = 1.5  # seconds; every check needs a small part of it


@dataclass(frozen=True)
class Verdict:
    """What a check found out about an exercise, and one sentence on it."""

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
    """What an answer gets wrong, in a sentence; `known` if the check knows how it came about."""

    def __init__(self, sentence: str, known: bool = True):
        super().__init__(sentence)
        self.known = known


class Unwritten(Exception):
    """The answer is still the stub."""


class TimeUp(BaseException):
    """Ends a learner's endless loop; no `except Exception` in it may catch this."""


def check(inspect: Callable) -> Callable[..., Verdict]:
    """Make a check of `inspect`, which looks at an answer and raises the Mistake that it finds."""

    @functools.wraps(inspect)
    def wrapped(answer, *facts) -> Verdict:
        name = inspect.__name__
        random_state = torch.get_rng_state()
        try:
            if answer is None:  # what `attempt` hands on from a stub
                raise Unwritten
            within(TIME_LIMIT, lambda: inspect(answer, *facts))
        except Unwritten:
            todo = "Replace `raise NotImplementedError` by your code, and run both cells again."
            return Verdict(name, False, todo, attempted=False)
        except Mistake as mistake:
            return Verdict(name, False, str(mistake))
        except TimeUp:
            late = f"No answer after {TIME_LIMIT} seconds: is there a loop that never ends?"
            return Verdict(name, False, late)
        except Exception as error:  # an answer of a form that nobody thought of
            odd = f"The check can make nothing of this answer ({type(error).__name__}: {error}): "
            return Verdict(name, False, odd + "compare its form with the docstring's example.")
        finally:
            torch.set_rng_state(random_state)  # a check leaves no trace in the notebook
        return Verdict(name, True, "Right in every case.")

    return wrapped


def attempt(experiment: Callable) -> object:
    """Run an experiment, however long it takes: its result, or None if it is still the stub."""
    try:
        result = experiment()
    except NotImplementedError as error:
        if is_stub(error, experiment):
            return None
        raise
    if result is None:
        raise BadInput(f"{experiment.__name__} returns nothing: end it with `return` and a table.")
    return result


def is_stub(error: Exception, answer: Callable) -> bool:
    """Whether this NotImplementedError is the stub's own, and not one from inside PyTorch."""
    traceback = error.__traceback__
    while traceback.tb_next:
        traceback = traceback.tb_next
    return traceback.tb_frame.f_code.co_filename == file_of(answer)


def file_of(answer: Callable) -> str | None:
    """The file, or the notebook's cell, of a function, of a class, or of a module's class."""
    if not hasattr(answer, "__code__"):
        methods = vars(answer if isinstance(answer, type) else type(answer)).values()
        answer = next((method for method in methods if hasattr(method, "__code__")), None)
    return answer and answer.__code__.co_filename


def within(seconds: float, call: Callable[[], object]) -> None:
    """`call()`, or TimeUp after so many seconds; works on Windows too, where signals do not."""
    errors = []

    def work() -> None:
        try:
            torch.manual_seed(1337)  # an answer may throw dice: each time the same ones
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join(seconds)
    finally:  # also when the reader interrupts the cell
        if thread.is_alive():
            # Python's own way to raise in another thread, at its next line.
            ident, raised = ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, raised)
            thread.join(0.3)
            errors.insert(0, TimeUp())
    if errors:
        raise errors[0]
