"""Plumbing · a text that may be larger than memory, as tokens in a file.

A folder holds tokens.bin, the ids as uint16, and tokens.json, which describes them.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from lessons.at_scale.description import RunDescription, checked
from lessons.corpus import check_length, load_text, read_chunks
from lessons.errors import BadInput
from lessons.files import read_json, whole_file, write_json

import numpy as np
import torch

N_CODES = 0x110000  # how many characters Unicode has room for
_WAY_OUT = (
    "and its losses could not be compared: leave out --text to continue with the run's own, or "
    "start a new run with another --out"
)
MAX_VAL_TOKENS = 1_000_000  # enough for two or three decimals of a loss


@dataclass(frozen=True)
class Tokens:
    """What tokens.json says about tokens.bin."""

    vocabulary: str
    n_tokens: int
    text_sha256: str


def write_tokens(
    text: str | Path | None, folder: Path, block_size: int, run: RunDescription | None = None
) -> Tokens:
    """Tokenize the file `text`, or Tiny Shakespeare, into `folder`, unless it is there already.

    A `run` that is resumed must have the same text. Raises BadInput, before anything is written,
    for a text that is not the run's or too short for block_size, a file that cannot be read, and
    more than 65,536 distinct characters.
    """
    chunks = _chunks(text)
    tokens = _scanned(chunks, run)
    if len(tokens.vocabulary) > 2**16:
        raise BadInput(f"The text has {len(tokens.vocabulary):,} distinct characters, but uint16 "
                       "ids tell only 65,536 apart: remove the rarest ones.")  # fmt: skip
    check_length(range(n_validation(tokens.n_tokens)), block_size)
    if described_tokens(folder) == tokens and _size(folder) == 2 * tokens.n_tokens:
        return tokens
    # In this order a kill at any moment never leaves a description of other tokens.
    (folder / "tokens.json").unlink(missing_ok=True)
    ids = np.zeros(N_CODES, dtype=np.uint16)
    ids[_codes(tokens.vocabulary)] = np.arange(len(tokens.vocabulary))
    try:
        with whole_file(folder / "tokens.bin") as file:
            for chunk in chunks():
                file.write(ids[_codes(chunk)].tobytes())
        write_json(folder / "tokens.json", asdict(tokens))
    except OSError as error:
        raise BadInput(
            f"The tokens cannot be written to {folder} ({error.strerror or error}): they need "
            f"{2 * tokens.n_tokens / 1e9:.2f} GB; free some space, or name another --out."
        ) from None
    return tokens


def _scanned(chunks: Callable[[], Iterable[str]], run: RunDescription | None) -> Tokens:
    """What a text holds, read once; raises BadInput if it is not the text of `run`."""
    seen, digest, n_tokens = np.zeros(N_CODES, dtype=bool), sha256(), 0
    for chunk in chunks():
        codes = _codes(chunk)
        if run is not None:
            _check_known(chunk, n_tokens, run.vocabulary)
        seen[codes] = True
        digest.update(chunk.encode())
        n_tokens += len(codes)
    if run is not None and digest.hexdigest() != run.text_sha256:
        raise BadInput(f"This is not the run's text, {_WAY_OUT}.")
    vocabulary = "".join(chr(code) for code in np.flatnonzero(seen))
    return Tokens(vocabulary, n_tokens, digest.hexdigest())


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


def _size(folder: Path) -> int:
    path = folder / "tokens.bin"
    return path.stat().st_size if path.exists() else 0


def _chunks(text: str | Path | None) -> Callable[[], Iterable[str]]:
    """A function that reads the text from its start, each time it is called."""
    if text is not None:
        return lambda: read_chunks(Path(text))
    whole = load_text()
    return lambda: [whole]


def _codes(chunk: str) -> np.ndarray:
    """The Unicode code of each character, (N,)."""
    return np.frombuffer(chunk.encode("utf-32-le"), dtype=np.uint32)


def _check_known(chunk: str, position: int, vocabulary: str) -> None:
    unknown = set(chunk) - set(vocabulary)
    if unknown:
        first = min(chunk.index(ch) for ch in unknown)
        raise BadInput(
            f"The character {chunk[first]!r} at position {position + first} of the text is not in "
            f"this run's vocabulary, {_WAY_OUT}."
        )
