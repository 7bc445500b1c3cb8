"""Numbers as settings and as words of a command line: what fits, and what is said otherwise."""

import argparse
import math
import re
from pathlib import Path

import sample
from lessons.arguments import COUNT, RATE, Parser, Range
from lessons.errors import BadInput

import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers() | st.floats() | st.booleans() | st.none() | st.text())
def test_only_whole_numbers_from_1_on_are_counts(value):
    fits = type(value) is int and 1 <= value <= 1_000_000_000
    assert (value in COUNT) == fits


@given(st.floats())
def test_only_finite_numbers_above_0_are_rates(value):
    assert (value in RATE) == (math.isfinite(value) and value > 0)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (Range(0, 5), "a whole number from 0 to 5"),
        (Range(0, 1, whole=False, high_fits=False), "a number from 0 to below 1"),
        (Range(0, 1, whole=False, low_fits=False, high_fits=False), "a number above 0 and below 1"),
        (RATE, "a finite number above 0"),
    ],
)
def test_a_range_says_whether_its_ends_are_in_it(numbers, said):
    ends = (numbers.low in numbers, numbers.high in numbers)
    assert str(numbers) == said and ends == ("from" in said, "to 5" in said)


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "nan", "inf", "1e3", "", "9" * 400, "9" * 5000])
def test_a_word_that_is_no_count_is_told_the_range_in_few_words(word):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from 1 to") as told:
        COUNT(word)
    assert len(str(told.value)) < 100
    assert COUNT("3") == 3 and RATE("1e-3") == 1e-3


def test_a_wrong_word_gets_one_sentence_without_the_list_of_all_words():
    parser = Parser()
    parser.add_argument("--steps", type=COUNT)
    with pytest.raises(BadInput, match="argument --steps: '0' is not a whole number from 1"):
        parser.parse_args(["--steps", "0"])


def test_no_script_reads_a_number_without_its_range():
    folder = Path(sample.__file__).parent
    scripts = {path.name: path.read_text("utf-8") for path in folder.rglob("*.py")}
    assert len(scripts) > 10
    assert not [name for name, code in scripts.items() if re.search(r"type=(int|float)\b", code)]
