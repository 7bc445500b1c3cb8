"""Plumbing · plain values, as JSON has them, as a frozen dataclass that knows its fields."""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, fields, is_dataclass
from typing import TypeVar, get_args, get_origin, get_type_hints

from lessons.errors import BadInput

Kind = TypeVar("Kind")
LARGEST = 2**63 - 1  # what a file of ours counts fits into 64 bits


def checked(kind: type[Kind], values: object) -> Kind:
    """The dataclass `kind` with these fields; raises BadInput for a wrong name, type or value.

    Whole numbers must lie from 0 to LARGEST, others must be finite. What else is impossible, the
    dataclass says itself, in `__post_init__`.
    """
    if not isinstance(values, dict):
        raise BadInput(f"a {kind.__name__} is a {type(values).__name__}, not an object.")
    types = get_type_hints(kind)
    for name in values:
        if name not in types:
            raise BadInput(f"{name!r} is unknown.")
    known = {name: _fitting(name, value, types[name]) for name, value in values.items()}
    missing = [
        field.name for field in fields(kind)
        if field.default is field.default_factory is MISSING and field.name not in values
    ]  # fmt: skip
    if missing:
        raise BadInput(f"{missing[0]!r} is missing.")
    return kind(**known)


def _fitting(name: str, value: object, wanted: type) -> object:
    """The value, if it is of the wanted type; a list becomes a tuple, an object a dataclass.

    Where `X | None` is wanted, the value may be absent, but it is never null.
    """
    choices = get_args(wanted) if get_origin(wanted) is not tuple else (wanted,)
    for choice in choices or (wanted,):
        if is_dataclass(choice) and isinstance(value, dict):
            try:
                return checked(choice, value)
            except BadInput as problem:
                raise BadInput(f"of {name!r}, {problem}") from None
        if get_origin(choice) is tuple and type(value) in (list, tuple):
            return tuple(_fitting(name, item, get_args(choice)[0]) for item in value)
        # type, not isinstance: for Python, True is an int.
        if value is not None and (type(value), choice) in ((choice, choice), (int, float)):
            _check_plain(name, value)
            return value
    raise BadInput(f"{name!r} is a {type(value).__name__}.")


def check_sha256(digest: str) -> None:
    """Raises BadInput unless this is the SHA-256 of a text, in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise BadInput("'text_sha256' is no SHA-256.")


def _check_plain(name: str, value: object) -> None:
    if type(value) is int and not 0 <= value <= LARGEST:
        raise BadInput(f"{name!r} is not a number from 0 to 2**63 - 1.")
    if type(value) is float and not math.isfinite(value):
        raise BadInput(f"{name!r} is {value}, which is no number.")
    if type(value) is str and any("\ud800" <= character <= "\udfff" for character in value):
        raise BadInput(f"{name!r} holds half a character.")
