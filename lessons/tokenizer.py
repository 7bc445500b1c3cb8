"""Lesson 1 · text to integers and back, one character at a time.

V is vocab_size, the number of distinct characters.
"""

from lessons.errors import BadInput


class CharTokenizer:
    """Numbers the distinct characters of a text in sorted order: str <-> list of int in [0, V)."""

    def __init__(self, text: str):
        chars = sorted(set(text))
        self.vocab_size = len(chars)
        self.stoi = {ch: i for i, ch in enumerate(chars)}
        self.itos = dict(enumerate(chars))

    def encode(self, text: str) -> list[int]:
        """One id per character; raises BadInput at the first character that has none."""
        try:
            return [self.stoi[ch] for ch in text]
        except KeyError as error:
            ch = error.args[0]
            raise BadInput(
                f"The character {ch!r} at position {text.index(ch)} is not among the "
                f"{self.vocab_size} characters that this tokenizer was built from: "
                "remove it, or build the tokenizer from a text that contains it."
            ) from None

    def decode(self, ids: list[int]) -> str:
        """The text that `encode` turned into these ids."""
        return "".join(self.itos[i] for i in ids)
