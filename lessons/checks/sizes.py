"""Plumbing · two sizes that do not fit, in an exception's words, and where they come from.

Shapes: B batch, T time (positions), C channels.
"""

import re
import traceback

import numpy as np
import torch
import torch.nn as nn

SIZES = [  # what PyTorch says of two tensors that do not fit
    r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)",
    r"expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\)",
    r"has size (\d+) for operand \d+ which does not broadcast with previously seen size (\d+)",
]
SHAPES = [  # what NumPy and PyTorch say of two shapes
    r"broadcast together with shapes \(([\d, ]+)\) \(([\d, ]+)\)",
    r"mask \[([\d, ]+)\] at index \d+ does not match the shape of the indexed tensor \[([\d, ]+)\]",
]


def hint(error: BaseException, inputs: tuple, case: str) -> str:
    """What to do about sizes that do not fit, as a sentence; empty where nobody can tell."""
    clash = _clash(str(error))
    if not clash:
        return ""
    T, others = _length(inputs, case), {size for value in inputs for size in _sizes_of(value)}
    if T is not None and min(clash) == T and max(clash) not in others:
        return " Does something made for another T need cropping, as with `[:T, :T]`?"
    at = re.search(r"at non-singleton dimension (\d+)", str(error))
    for shape in _shapes(error, inputs):
        for n, pair in enumerate(zip(shape, shape[1:], strict=False), 1):
            if set(pair) == clash and (not at or int(at[1]) == n):
                return (
                    " Is an axis gone? `keepdim=True` keeps the one that a sum or a mean takes "
                    "away; `[:, None]` makes a column."
                )
    return ""


def _clash(said: str) -> set[int]:
    """The two sizes that an exception complains of; none if it is about something else."""
    for pattern in SIZES:
        if found := re.search(pattern, said):
            return {int(size) for size in found.groups()}
    for pattern in SHAPES:
        if found := re.search(pattern, said):
            a, b = ([int(n) for n in re.findall(r"\d+", shape)] for shape in found.groups())
            pairs = zip(reversed(a), reversed(b), strict=False)
            return next(({m, n} for m, n in pairs if m != n and 1 not in (m, n)), set())
    return set()


def _length(inputs: tuple, case: str) -> int | None:
    """T of these inputs; None if there is none, or if B or C is as large."""
    if found := re.fullmatch(r"T = (\d+)", case):
        return int(found[1])
    for value in inputs:
        if isinstance(value, torch.Tensor) and value.ndim == 3:
            B, T, C = value.shape
            return T if T not in (B, C) else None
    return None


def _sizes_of(value: object) -> set[int]:
    """All sizes of an input but those of its buffers: a mask is made for the largest T."""
    if isinstance(value, torch.Tensor):
        return set(value.shape)
    if not isinstance(value, nn.Module):
        return set()
    sizes = {size for p in value.parameters() for size in p.shape}
    heads = getattr(value, "n_head", 1)
    return sizes | {heads} | {size // heads for size in sizes}


def _shapes(error: BaseException, inputs: tuple) -> list[tuple[int, ...]]:
    """The shapes of the inputs, and of what has a name where the exception was raised."""
    values = list(inputs)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        values += frame.f_locals.values()
    arrays = [value for value in values if isinstance(value, torch.Tensor | np.ndarray)]
    return [tuple(array.shape) for array in arrays]
