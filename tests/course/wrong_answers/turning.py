"""Lesson 10's first exercise."""

import cmath
import math

from lessons.checks.turning import turned
from wrong_answers import Wrong


def with_angle(angle):
    """The right turn, by another angle."""
    return lambda a, b, place, speed: turned(a, b, angle(place, speed))


def with_parts(mix):
    """`mix(a, b, cos, sin)` in place of the turn."""
    return lambda a, b, place, speed: mix(a, b, math.cos(place * speed), math.sin(place * speed))


def in_place(a, b, place, speed):
    cos, sin = math.cos(place * speed), math.sin(place * speed)
    a = a * cos - b * sin
    b = b * cos + a * sin
    return a, b


WRONG = [
    Wrong("turn_pair", {
        "the other way round": with_angle(lambda place, speed: -place * speed),
        "sine and cosine are exchanged": with_parts(
            lambda a, b, cos, sin: (a * sin - b * cos, b * sin + a * cos)),
        "the place has no say": with_angle(lambda place, speed: speed),
        "the speed has no say": with_angle(lambda place, speed: place),
        "place and speed are added": with_angle(lambda place, speed: place + speed),
        "the place is divided": with_angle(lambda place, speed: place / speed),
        "to the power of the place": with_angle(lambda place, speed: speed**place),
        "places are counted from 1": with_angle(lambda place, speed: (place + 1) * speed),
        "taken for degrees": with_angle(lambda place, speed: math.radians(place * speed)),
        "already turned": in_place,
        "both signs are plus": with_parts(
            lambda a, b, cos, sin: (a * cos + b * sin, b * cos + a * sin)),
        "both signs are minus": with_parts(
            lambda a, b, cos, sin: (a * cos - b * sin, b * cos - a * sin)),
        "the channels do not mix": with_parts(lambda a, b, cos, sin: (a * cos, b * cos)),
        "as if the arrow lay on an axis": with_parts(lambda a, b, cos, sin: (a * cos, b * sin)),
        "the roles are wrong": with_parts(
            lambda a, b, cos, sin: (a * cos - b * sin, a * cos + b * sin)),
        "the two channels are exchanged": lambda *inputs: turned(
            *inputs[:2], inputs[2] * inputs[3])[::-1],
        "the angle is added to both": lambda a, b, place, speed: (
            a + place * speed, b + place * speed),
        "multiplied by the angle": lambda a, b, place, speed: (
            a * place * speed, b * place * speed),
        "nothing is turned": lambda a, b, place, speed: (a, b),
        "return two numbers": lambda a, b, place, speed: turned(a, b, place * speed)[0],
        "complex numbers": lambda a, b, place, speed: complex(a, b) * cmath.exp(
            1j * place * speed),
        "entry [0] is 9, and should be": lambda a, b, place, speed: (9.0, 9.0),
    }),
]  # fmt: skip
