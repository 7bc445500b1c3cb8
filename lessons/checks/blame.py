"""Plumbing · whose code raised an exception, and what to say about it."""

import functools
import linecache
import re
import reprlib
import traceback
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType

LIBRARIES = ("builtins", "torch")  # their classes are no part of an answer


def is_stub(error: BaseException, answer: object) -> bool:
    """Whether this is the bare `raise NotImplementedError` of an answer that is not yet written.

    PyTorch raises NotImplementedError too, but with a message, and a helper's is not the answer's.
    """
    if type(error) is not NotImplementedError or error.args or error.__context__:
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_code in set(_codes_of(answer))


def describe(error: BaseException, answer: object) -> str:
    """What the answer's code raised, and at which line, as part of a sentence."""
    missing = re.match(r'Module \[(\w+)\] is missing the required "forward"', str(error))
    if missing:
        return (
            f"`{missing[1]}` has no method `forward`: is its name spelled like that, and is it "
            "indented as `__init__` is"
        )
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file_of(answer)]
    where = ""
    if own:
        line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno).strip()
        where = f" at `{cut(line, 100)}`"
    said = cut(str(error), 200).rstrip(".") or "no message"
    return f"your code raised {type(error).__name__}{where}: {said}"


def passed_through(error: BaseException, answer: object) -> bool:
    """Whether an exception came out of an answer's own code, or through it."""
    frames = traceback.extract_tb(error.__traceback__)
    return file_of(answer) in {frame.filename for frame in frames}


def file_of(answer: object) -> str | None:
    """The file or notebook cell that defines a function, a class, or a module's class."""
    return next((function.__code__.co_filename for function in functions_of(answer)), None)


def functions_of(answer: object, seen: tuple[int, ...] = ()) -> Iterator[FunctionType]:
    """What an answer consists of: what is decorated, then itself, or the methods of a class."""
    if id(answer) in seen:
        return
    for part in _parts_of(answer):
        yield from functions_of(part, (*seen, id(answer)))
    if isinstance(answer, FunctionType):
        yield answer


def _parts_of(answer: object) -> list:
    if isinstance(answer, MethodType):
        return [answer.__func__, type(answer.__self__)]
    if isinstance(answer, functools.partial):
        return [answer.func]
    if hasattr(answer, "__wrapped__"):  # what `functools.wraps` and `functools.cache` note
        return [answer.__wrapped__]
    if isinstance(answer, FunctionType):
        return _wrapped_unsaid(answer)
    if isinstance(answer, type):
        own = [c for c in answer.__mro__ if c.__module__.partition(".")[0] not in LIBRARIES]
        parts = [part for each in own for part in vars(each).values()]
        parts = [getattr(part, "__func__", getattr(part, "fget", part)) for part in parts]
        return [part for part in parts if isinstance(part, FunctionType)]
    held = getattr(answer, "__dict__", {}).values()  # an object may be a decorator
    return [type(answer), *(part for part in held if isinstance(part, FunctionType))]


def _wrapped_unsaid(function: FunctionType) -> list[FunctionType]:
    """What a decorator without `functools.wraps` keeps in the closure of what it returns.

    A function that was made beside this one is no more than its helper.
    """
    try:
        held = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # not yet filled
        return []
    functions = [part for part in held if isinstance(part, FunctionType)]
    return [part for part in functions if _home(part) != _home(function)]


def _home(function: FunctionType) -> str:
    return function.__qualname__.rpartition(".")[0]


def _codes_of(answer: object) -> Iterator[CodeType]:
    """The code of an answer, with that of the functions inside it."""
    todo = [function.__code__ for function in functions_of(answer)]
    while todo:
        code = todo.pop()
        yield code
        todo += [part for part in code.co_consts if isinstance(part, CodeType)]


def name_of(answer: object) -> str | None:
    """What an answer is called in the notebook, if it has a name there."""
    name = getattr(answer, "__name__", "")
    return name if name.isidentifier() else None


def short(value: object) -> str:
    """A value in a few words, however long it is."""
    return cut(_REPR.repr(value), 60)


def cut(text: str, length: int) -> str:
    """Text in one line, cut if it is longer than this."""
    text = " ".join(text[: 4 * length].split())
    return text if len(text) <= length else text[: length - 3] + "..."


_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 60
