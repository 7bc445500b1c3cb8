"""Plumbing · calling an answer on copies, and comparing what it returns.

A case is the name of an input, such as "x of shape (1, 3, 1)". A small one comes first, so that an
answer that is always wrong fails on the smallest example.
"""

import copy
import inspect
import numbers
from collections.abc import Callable

from lessons.checks.blame import describe, is_stub, short
from lessons.checks.clock import TimeUp, on_the_clock
from lessons.checks.settings import ARITHMETIC, put_back
from lessons.checks.sizes import hint
from lessons.checks.unchanged import changed
from lessons.checks.verdict import Mistake, Unwritten

import numpy as np
import torch
import torch.nn as nn


def call(answer: Callable, *inputs, case: str):
    """What the answer returns for copies of the inputs; raises Mistake if it fails on them."""
    made_already = isinstance(answer, nn.Module) and not any(map(torch.is_tensor, inputs))
    if made_already or not callable(answer):
        raise Mistake(
            f"This is {short(answer)}, and neither a function nor a class: hand over what the stub "
            "defines by its name alone, without calling it."
        )
    copies = copy.deepcopy(inputs)
    try:
        with put_back(ARITHMETIC):
            result = on_the_clock(answer, *copies)
    except TimeUp:
        raise
    except BaseException as error:  # sys.exit() in an answer must not end the notebook
        if is_stub(error, answer):
            raise Unwritten from None
        sentence = f"For {case}: {describe(error, answer)}.{hint(error, inputs, case)}"
        raise Mistake(sentence, known=False, size=True) from None
    for n, (given, left) in enumerate(zip(inputs, copies, strict=True)):
        if found := changed(given, left, "it"):
            part = _name(answer, n) + found.removeprefix("it")
            raise Mistake(
                f"For {case}: it changed its input, `{part}`: work on a copy, and leave a model in "
                "the mode in which you found it, without gradients or hooks of yours."
            )
    if result is None:
        raise Mistake(
            f"For {case}: it returned None: does every path through it end in a `return`?"
        )
    return result


def _name(answer: Callable, n: int) -> str:
    """What the answer calls its n-th input."""
    try:
        return list(inspect.signature(answer).parameters)[n]
    except (TypeError, ValueError, IndexError):  # a function written in C, or with `*args`
        return f"input {n}"


def on_each(cases: dict[str, object], look: Callable[[str, object], None]) -> None:
    """Call `look` on each case; if one fails after others were right, the sentence says so."""
    before = None
    for case, inputs in cases.items():
        try:
            look(case, inputs)
        except Mistake as mistake:
            if mistake.known or before is None:
                raise
            hint = ": is a size written as a number, or taken from the wrong axis? "
            guess = hint if mistake.size else ". "
            raise Mistake(f"Right for {before}, but not for the next{guess}{mistake}") from None
        before = case


def as_tensor(got: object, case: str) -> torch.Tensor:
    """A number, a list of numbers or a tensor, as float64; raises Mistake for anything else."""
    try:
        tensor = _tensor(got)
        if tensor.is_complex():
            raise Mistake(f"For {case}: it returned complex numbers, and all of this is real.")
        if tensor.is_nested or tensor.is_meta:
            kind = "a nested tensor" if tensor.is_nested else "a tensor without numbers, on `meta`"
            raise Mistake(f"For {case}: it returned {kind}: return an ordinary one.")
        return tensor.detach().cpu().to_dense().double()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise Mistake(
            f"For {case}: it returned {short(got)}, which is neither a number nor a tensor."
        ) from None


def _tensor(got: object) -> torch.Tensor:
    if isinstance(got, torch.Tensor):
        return got
    if isinstance(got, complex | np.complexfloating):
        return torch.tensor(complex(got))
    if isinstance(got, numbers.Number):  # fractions and decimals too
        return torch.tensor(float(got), dtype=torch.double)
    if isinstance(got, list | tuple | range):
        return torch.stack([_tensor(part) for part in got]) if len(got) else torch.zeros(0)
    if not hasattr(got, "__array__"):
        raise TypeError
    return torch.as_tensor(np.array(got))  # a copy: some arrays cannot be written


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-5) -> bool:
    """Equal in shape and, up to rounding, in every entry; NaN, which mistakes make, equals NaN."""
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=atol, equal_nan=True)


def expect(
    got: object, right: object, case: str, mistakes: dict[str, object], atol: float = 1e-5
) -> None:
    """Raise the Mistake that explains `got`, unless it is `right` up to `atol`.

    `mistakes` maps each sentence to what an answer with that mistake would return, or to a
    function that computes it, and may fail where the shapes rule that mistake out.
    """
    got, right = as_tensor(got, case), as_tensor(right, case)
    if close(got, right, atol):
        return
    for sentence, wrong in mistakes.items():
        value = _computed(wrong, case)
        if value is not None and close(got, value, atol) and not close(right, value, atol):
            raise Mistake(f"For {case}: {sentence} ({_difference(got, right)}.)")
    raise Mistake(
        f"For {case}: {_difference(got, right)}.", known=False, size=got.shape != right.shape
    )


def _computed(wrong: object, case: str) -> torch.Tensor | None:
    try:
        return as_tensor(wrong() if callable(wrong) else wrong, case)
    except (RuntimeError, IndexError, ZeroDivisionError):  # not possible with these shapes
        return None


def _difference(got: torch.Tensor, right: torch.Tensor) -> str:
    if got.shape != right.shape:
        return f"the result has shape {tuple(got.shape)}, and should have {tuple(right.shape)}"
    if not right.shape:
        return f"you get {_shown(got)}, and it should be {_shown(right)}"
    apart = ~torch.isclose(got, right, rtol=1e-4, atol=1e-5)
    where = tuple(apart.nonzero()[0].tolist())
    place = ", ".join(str(n) for n in where)
    return f"entry [{place}] is {_shown(got[where])}, and should be {_shown(right[where])}"


def _shown(number: torch.Tensor) -> str:
    value = number.item()
    return f"{value:,.0f}" if value.is_integer() else f"{value:.5g}"


def leak(
    answer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, case: str, reason: str
) -> None:
    """Raise Mistake if an earlier position changes when the last one of x, (B, T, C), does."""
    T = x.shape[1]
    other = x.clone()
    other[:, -1] += 1
    a, b = (as_tensor(answer(value), case) for value in (x, other))
    if a.shape != x.shape[:2] + a.shape[2:]:
        return  # a wrong shape: `expect` explains it better
    moved = [t for t in range(T - 1) if not close(a[:, t], b[:, t])]
    if moved and not a.isnan().any():
        raise Mistake(
            f"For {case}: position {moved[0]} changes when position {T - 1} does: {reason}"
        )


def shape_of(x: torch.Tensor) -> str:
    """The name of a case: "x of shape (1, 3, 1)"."""
    return f"x of shape {tuple(x.shape)}"
