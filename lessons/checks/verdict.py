"""Plumbing · what a check returns, and how it runs code that may be wrong in any way."""

import functools
import html
import inspect
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from lessons.checks.blame import (
    cut,
    describe,
    file_of,
    is_stub,
    name_of,
    passed_through,
    short,
)
from lessons.checks.clock import TIME_LIMIT, TimeUp, within
from lessons.checks.settings import ARITHMETIC, ELSEWHERE, own_random_state, put_back
from lessons.errors import BadInput

LONGEST = 600  # characters of a sentence


@dataclass(frozen=True)
class Verdict:
    """What a check found out about an exercise, and one sentence about it."""

    exercise: str
    passed: bool
    message: str
    attempted: bool = True
    looked_at: bool = True

    @property
    def word(self) -> str:
        """Passed, not yet, not attempted, or not checked."""
        if self.passed:
            return "passed"
        if not self.looked_at:
            return "not checked"
        return "not yet" if self.attempted else "not attempted"

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.word}. {self.message}"

    def _repr_html_(self) -> str:
        message = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.message))
        border = {"passed": "solid", "not yet": "double"}.get(self.word, "dotted")
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


@dataclass(frozen=True)
class Failed:
    """An experiment that raised an exception: its check says which."""

    message: str


def check(look: Callable) -> Callable[..., Verdict]:
    """Turn `look`, which looks at an answer and raises the Mistake it finds, into a check.

    The answer is a function or a class; that of an exercise named `..._experiment` is a table, and
    for one that passes `look` returns what to say: what it looked at, and what it did not.
    """

    @functools.wraps(look)
    def wrapped(answer, *facts, **named) -> Verdict:
        with own_random_state(), put_back(ARITHMETIC + ELSEWHERE) as lost:
            verdict = _judged(look, answer, *facts, **named)
        return replace(verdict, message=verdict.message + _notice(lost))

    return wrapped


def _judged(look: Callable, answer: object, *facts, **named) -> Verdict:
    """What `look` finds in an answer, or what keeps it from looking."""
    name = look.__name__
    try:
        said = _look(look, answer, *facts, **named)
    except Unwritten:
        todo = "Replace `raise NotImplementedError` by your code, and run both cells again."
        return Verdict(name, False, todo, attempted=False)
    except (Mistake, TimeUp) as found:
        return Verdict(name, False, cut(str(found), LONGEST))
    except Exception as error:
        if not _is_table(look) and passed_through(error, answer):
            raised = describe(error, answer)
            return Verdict(name, False, cut(f"{raised[0].upper()}{raised[1:]}.", LONGEST))
        if isinstance(error, BadInput):  # a file of the course, or the text: no answer's fault
            return Verdict(name, False, cut(str(error), LONGEST), looked_at=False)
        odd = cut(f"{type(error).__name__}: {error}", 200)  # in a form that nobody foresaw
        form = f"The check cannot read this answer ({odd}): compare its form with the docstring's "
        return Verdict(name, False, f"{form}example.")
    return Verdict(name, True, said or "Right in every case.")


def _is_table(look: Callable) -> bool:
    return look.__name__.endswith("_experiment")


def _look(look: Callable, answer: object, *facts, **named) -> str | None:
    """Call `look` on what it is made for, and for no longer than an answer may take."""
    if isinstance(answer, Failed):
        raise Mistake(answer.message)
    if _is_table(look):
        if answer is None:  # what `attempt` returns for a stub
            raise Unwritten
        if callable(answer):
            raise Mistake(
                "This is a function, and not its table: `checks.attempt` runs the experiment, "
                "and what it returns goes here."
            )
    _takes(look, answer, *facts, **named)
    if _is_table(look):  # none of the learner's code runs
        return look(answer, *facts, **named)
    within(TIME_LIMIT, lambda: look(answer, *facts, **named), file_of(answer))
    return None


def _notice(lost: list[str]) -> str:
    """A sentence, after another one, on what an answer has changed for good."""
    if not lost:
        return ""
    said = cut(lost[0], 100)
    return f" Something that it changed for the whole process cannot be put back ({said}): restart."


def _takes(look: Callable, *given, **named) -> None:
    """Raise Mistake unless a check can be called with this."""
    try:
        inspect.signature(look).bind(*given, **named)
    except TypeError:
        taken = ", ".join(f"`{name}`" for name in inspect.signature(look).parameters)
        raise Mistake(
            f"This check takes {taken}, and was given something else: call it as the notebook does."
        ) from None


def attempt(experiment: Callable) -> object:
    """Run an experiment, however long it takes, and return what its check takes.

    That is the result, None if it is still the stub, or Failed with a sentence on what it raised.
    """
    if not callable(experiment):
        return Failed(
            f"`attempt` was given {short(experiment)}, and not a function: hand over the "
            "experiment itself, without calling it."
        )
    try:
        with put_back(ARITHMETIC + ELSEWHERE) as lost:
            result = experiment()
        if lost:
            with suppress(OSError, ValueError):  # closed for good
                print(_notice(lost).strip(), file=sys.stderr)
    except (Exception, SystemExit) as error:  # exit() must not end the notebook
        if is_stub(error, experiment):
            return None
        name = name_of(experiment)
        alone = f"`{name}()` by itself" if name else "Calling it without `attempt`"
        said = describe(error, experiment)
        return Failed(f"In the experiment {said}. {alone} shows the whole traceback.")
    if result is None:
        return Failed("It returns nothing: end it with `return` and a table.")
    return result
