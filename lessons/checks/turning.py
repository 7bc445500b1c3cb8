"""Plumbing · the check of lesson 10's first exercise, a pair turned by its place."""

import math

from lessons.checks.compare import as_tensor, call, expect, on_each
from lessons.checks.verdict import Mistake, check


@check
def turn_pair(answer):
    """`turn_pair(a, b, place, speed)`: the arrow (a, b), turned by place x speed radians."""

    def look(case: str, inputs: tuple) -> None:
        got = call(answer, *inputs, case=case)
        if as_tensor(got, case).shape != (2,):
            raise Mistake(f"For {case}: return two numbers, both channels of the turned pair.")
        expect(got, turned(*inputs[:2], inputs[2] * inputs[3]), case, _mistakes(*inputs))

    # Small angles and large ones, and no two numbers alike.
    cases = [(3.0, -2.0, 3, 0.7), (0.5, 2.5, 7, 0.3), (-1.5, 4.0, 2, 1.1)]
    on_each({f"the pair ({a}, {b}) at place {p}, speed {s}": (a, b, p, s)
             for a, b, p, s in cases}, look)  # fmt: skip
    look("the pair (3.0, -2.0) at place 0, speed 0.7", (3.0, -2.0, 0, 0.7))
    look("the docstring's example", (1.0, 0.0, 2, 0.5))


def turned(a: float, b: float, angle: float) -> list[float]:
    """The arrow (a, b) turned by this angle, against the clock."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [a * cos - b * sin, b * cos + a * sin]


def _mistakes(a: float, b: float, place: int, speed: float) -> dict[str, object]:
    """Each mistake's sentence, and what comes of it."""
    angle = place * speed
    cos, sin = math.cos(angle), math.sin(angle)
    first, second = turned(a, b, angle)
    return {
        "it is turned the other way round: the minus belongs to the first channel.":
            turned(a, b, -angle),
        "sine and cosine are exchanged: at an angle of 0 nothing must change.":
            [a * sin - b * cos, b * sin + a * cos],
        "the place has no say in the angle: it is place times speed.": turned(a, b, speed),
        "the speed has no say in the angle: it is place times speed.": turned(a, b, place),
        "place and speed are added: the angle is their product.": turned(a, b, place + speed),
        "the place is divided by the speed: the angle is their product.":
            lambda: turned(a, b, place / speed),
        "the speed is raised to the power of the place: the angle is their product.":
            turned(a, b, speed**place),
        "places are counted from 1 here: the first is place 0, and is not turned.":
            turned(a, b, (place + 1) * speed),
        "the angle is taken for degrees: sine and cosine of `math` and torch take radians.":
            turned(a, b, math.radians(angle)),
        "the second channel is made from the first one that is already turned: keep the old one.":
            [first, b * cos + first * sin],
        "both signs are plus: one of the two must be a minus, or the arrow gets longer.":
            [a * cos + b * sin, b * cos + a * sin],
        "both signs are minus: only the first is.": [first, b * cos - a * sin],
        "the channels do not mix: each gets a part of the other.": [a * cos, b * cos],
        "one channel has the cosine and the other the sine, as if the arrow lay on an axis: each "
        "gets a part of the other.": [a * cos, b * sin],
        "in the second channel the roles are wrong: it is b cos + a sin.":
            [first, a * cos + b * sin],
        "the two channels are exchanged.": [second, first],
        "the angle is added to both channels: turn the arrow.": [a + angle, b + angle],
        "both channels are multiplied by the angle: turn the arrow.": [a * angle, b * angle],
        "the arrow is as it was: nothing is turned.": [a, b],
    }  # fmt: skip
