"""Plumbing · whether an answer has left its inputs as they were, down to every part of them."""

from types import BuiltinFunctionType, FunctionType, MethodType

import numpy as np
import pandas as pd
import torch

# Levels of a module's own bookkeeping that nobody writes: `model.lm_head`, not `model._modules`.
UNNAMED = ("_modules", "_parameters", "_buffers")
FRAMES = pd.DataFrame, pd.Series, pd.Index


def changed(given: object, left: object, name: str, seen: set[int] | None = None) -> str | None:
    """Where `left` is not what it is in `given`, as in "{name}.lm_head.weight.grad"; None if equal.

    Both are of any kind; `seen` holds what is being compared, for what contains itself.
    """
    seen = seen or set()
    if id(given) in seen:
        return None
    if type(given) is not type(left):
        return name
    if isinstance(given, torch.Tensor):
        return _changed_tensor(given, left, name)
    seen = seen | {id(given)}
    if isinstance(given, dict):
        if list(given) != list(left):
            return name
        return _first(((given[key], left[key], f"{name}[{key!r}]") for key in given), seen)
    if isinstance(given, list | tuple):
        if len(given) != len(left):
            return name
        pairs = zip(given, left, range(len(given)), strict=True)
        return _first(((a, b, f"{name}[{n}]") for a, b, n in pairs), seen)
    parts = None if isinstance(given, FRAMES) else getattr(given, "__dict__", None)
    if isinstance(parts, dict) and not isinstance(given, type | FunctionType):
        return _changed_object(parts, vars(left), name, seen)
    return None if _equal(given, left) else name


def _first(parts, seen: set[int]) -> str | None:
    found = (changed(given, left, name, seen) for given, left, name in parts)
    return next((name for name in found if name), None)


def _changed_tensor(given: torch.Tensor, left: torch.Tensor, name: str) -> str | None:
    for what in ("shape", "dtype", "device", "layout", "requires_grad"):
        if getattr(given, what) != getattr(left, what):
            return f"{name}.{what}"
    if bool(given._backward_hooks) != bool(left._backward_hooks):
        return f"{name}.register_hook"
    if not given.is_meta and not torch.equal(given, left):
        return name
    grads = (given.grad, left.grad) if given.is_leaf and left.is_leaf else (None, None)
    return changed(*grads, f"{name}.grad")


def _changed_object(given: dict, left: dict, name: str, seen: set[int]) -> str | None:
    """The same for the attributes of an object, such as a module or a tokenizer."""
    for key in (*given, *left):
        if key not in given or key not in left:
            return f"{name}.{key}"
        if key in UNNAMED:
            found = _changed_object(given[key], left[key], name, seen)
        elif id(given[key]) not in seen:
            found = changed(given[key], left[key], f"{name}.{key}", seen)
        if found:
            return found
    return None


def _equal(given: object, left: object) -> bool:
    if isinstance(given, FRAMES):
        return given.equals(left) and str(given.axes) == str(left.axes)
    if isinstance(given, np.ndarray):
        return given.dtype == left.dtype and np.array_equal(given, left)
    if isinstance(given, torch.Generator):
        return torch.equal(given.get_state(), left.get_state())
    if isinstance(given, MethodType | BuiltinFunctionType):
        return given.__name__ == left.__name__
    return given == left or (given != given and left != left)  # NaN
