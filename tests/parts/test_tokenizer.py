from lessons.errors import BadInput
from lessons.tokenizer import CharTokenizer

import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(min_size=1))
def test_decoding_an_encoded_text_gives_it_back(text):
    tokenizer = CharTokenizer(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(min_size=1))
def test_ids_are_the_places_in_the_sorted_vocabulary(text):
    tokenizer = CharTokenizer(text)
    assert [tokenizer.encode(ch)[0] for ch in sorted(set(text))] == list(range(len(set(text))))
    assert tokenizer.vocab_size == len(set(text))


def test_an_unknown_character_is_named_with_its_position():
    with pytest.raises(BadInput, match=r"'z' at position 2"):
        CharTokenizer("abc").encode("abzabz")
