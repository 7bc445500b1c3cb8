"""Plumbing · a text as training and validation tokens.

Shapes: N_train and N_val tokens.
"""

from lessons.batches import split
from lessons.tokenizer import CharTokenizer

import torch


def encode_and_split(text: str) -> tuple[torch.Tensor, torch.Tensor, CharTokenizer]:
    """The training tokens, (N_train,), the validation tokens, (N_val,), and their tokenizer."""
    tokenizer = CharTokenizer(text)
    return *split(torch.tensor(tokenizer.encode(text))), tokenizer
