"""Plumbing · a text that may be larger than memory, as tokens in a file.

A folder holds tokens.bin, the ids as uint16, and tokens.json, which describes them. The text's
SHA-256 is the checksum of both: they are whole if they give that text back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from lessons.at_scale.description import RunDescription
from lessons.corpus import check_length
from lessons.errors import BadInput
from lessons.files import read_json
from lessons.schema import checked

import numpy as np
import torch
from tqdm import tqdm

Chunk = TypeVar("Chunk", str, np.ndarray)
MAX_VAL_TOKENS = 1_000_000  # enough for two or three decimals of a loss


@dataclass(frozen=True)
class Tokens:
    """What tokens.json says about tokens.bin."""

    vocabulary: str
    n_tokens: int
    text_sha256: str


def check_tokens(folder: Path, run: RunDescription) -> None:
    """Raises BadInput unless `folder` holds the whole text of `run`; reads all of it."""
    tokens = described_tokens(folder)
    if tokens is None or tokens.text_sha256 != run.text_sha256:
        raise BadInput(f"{folder} does not have the run's tokens: give its text again with --text.")
    try:
        whole = are_whole(folder, tokens)
    except OSError as error:
        raise BadInput(f"{folder / 'tokens.bin'} cannot be read ({error.strerror}).") from None
    if not whole:
        raise BadInput(
            f"The tokens in {folder} are damaged: give the run's text again with --text."
        )
    check_vocabulary(tokens, run)
    check_length(range(n_validation(tokens.n_tokens)), run.shape.block_size)


def check_vocabulary(tokens: Tokens, run: RunDescription) -> None:
    """Raises BadInput if `run` says another vocabulary than that of its own text."""
    said = (run.vocabulary, run.shape.vocab_size)
    if said != (tokens.vocabulary, len(tokens.vocabulary)):
        raise BadInput("The vocabulary in losses.json is not that of the run's text, so the file "
                       "was changed: move it elsewhere, and begin the run again.")  # fmt: skip


def as_ids(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens of any integer type as the ids that a model takes, int64."""
    # PyTorch reads a uint16 file as int16, where ids above 32,767 come out 65,536 too low; the
    # lowest 16 bits are right in both.
    return tokens.long() & 0xFFFF


def n_validation(n_tokens: int) -> int:
    """How many tokens are kept for validation: the last tenth, but at most MAX_VAL_TOKENS."""
    return min(n_tokens - int(0.9 * n_tokens), MAX_VAL_TOKENS)


def open_tokens(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The training tokens, (N_train,), and the validation tokens, (N_val,); both stay in the file.

    Raises BadInput if the file is not what tokens.json says.
    """
    described = described_tokens(folder)
    if described is None or _size(folder) != 2 * described.n_tokens:
        raise BadInput(f"{folder} has lost its tokens: give the run's text again with --text.")
    tokens = np.memmap(folder / "tokens.bin", dtype=np.int16, mode="c")
    # PyTorch can do little with uint16, so it gets the same bytes as int16: see `as_ids`.
    # Mode "c" lets it believe that it may write; the file is never changed.
    tokens = torch.from_numpy(tokens)
    n_val = n_validation(len(tokens))
    return tokens[:-n_val], tokens[-n_val:]


def described_tokens(folder: Path) -> Tokens | None:
    """What tokens.json says, or None if it is not there or makes no sense."""
    try:
        return checked(Tokens, read_json(folder / "tokens.json"))
    except BadInput:
        return None


def are_whole(folder: Path, tokens: Tokens) -> bool:
    """Whether tokens.bin gives back the text that it was made from."""
    if _size(folder) != 2 * tokens.n_tokens:
        return False
    codes, digest = codes_of(tokens.vocabulary), sha256()
    if tokens.vocabulary.isascii():  # then a code is the character's only byte, in UTF-8 too
        codes = codes.astype(np.uint8)
    seen = np.zeros(len(codes), dtype=bool)
    with open(folder / "tokens.bin", "rb") as file:
        blocks = iter(lambda: file.read(2**21), b"")
        for ids in shown((np.frombuffer(block, np.uint16) for block in blocks), "checking tokens"):
            if ids.max() >= len(codes):
                return False
            if not seen.all():
                seen[ids] = True
            text = codes[ids].tobytes()
            digest.update(text if codes.itemsize == 1 else text.decode("utf-32-le").encode())
    return bool(seen.all()) and digest.hexdigest() == tokens.text_sha256


def _size(folder: Path) -> int:
    path = folder / "tokens.bin"
    return path.stat().st_size if path.exists() else 0


def shown(chunks: Iterable[Chunk], doing: str) -> Iterator[Chunk]:
    """The same chunks, with a bar once they take more than two seconds."""
    with tqdm(desc=doing, unit=" tokens", unit_scale=True, delay=2, leave=False, ncols=100) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(len(chunk))


def codes_of(chunk: str) -> np.ndarray:
    """The Unicode code of each character, (N,); a question mark's for what no text can hold."""
    return np.frombuffer(chunk.encode("utf-32-le", "replace"), dtype=np.uint32)
