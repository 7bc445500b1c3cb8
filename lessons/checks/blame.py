"""Plumbing · whose code raised an exception, and what to say about it."""

import functools
import inspect
import linecache
import re
import reprlib
import traceback
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType


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


def file_of(answer: object) -> str | None:
    """The file or notebook cell that defines a function, a class, or a module's class."""
    return next((function.__code__.co_filename for function in functions_of(answer)), None)


def functions_of(answer: object) -> Iterator[FunctionType]:
    """What an answer consists of: itself, or what is decorated, or the methods of a class."""
    if isinstance(answer, FunctionType):
        yield answer
        for inner in _decorated(answer):
            yield from functions_of(inner)
    elif isinstance(answer, MethodType):
        yield from functions_of(answer.__func__)
        yield from functions_of(type(answer.__self__))
    elif isinstance(answer, functools.partial):
        yield from functions_of(answer.func)
    elif hasattr(answer, "__wrapped__"):  # functools.cache makes an object of its own
        yield from functions_of(answer.__wrapped__)
    else:
        yield from _methods_of(answer if isinstance(answer, type) else type(answer))
        held = getattr(answer, "__dict__", {}).values()  # an object may be a decorator
        yield from (part for part in held if isinstance(part, FunctionType))


def _methods_of(cls: type) -> Iterator[FunctionType]:
    for each in cls.__mro__:
        if each.__module__.partition(".")[0] not in ("builtins", "torch"):
            for part in vars(each).values():
                part = getattr(part, "__func__", getattr(part, "fget", part))
                if isinstance(part, FunctionType):
                    yield part
                    yield from _decorated(part)


def _decorated(function: FunctionType) -> list[FunctionType]:
    """What a decorated function calls: `functools.wraps` notes it; else the closure holds it.

    A function that was made beside this one is no more than its helper.
    """
    if hasattr(function, "__wrapped__"):
        inner = function.__wrapped__
        return [inner, *_decorated(inner)] if isinstance(inner, FunctionType) else []
    held = inspect.getclosurevars(function).nonlocals.values() if function.__closure__ else ()
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
