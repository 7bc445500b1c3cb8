"""Plumbing · writing a text of any size as tokens: it is read twice, and must stay the same."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from lessons.at_scale.description import RunDescription
from lessons.at_scale.token_file import (
    Tokens,
    are_whole,
    check_vocabulary,
    codes_of,
    described_tokens,
    n_validation,
    shown,
)
from lessons.corpus import check_length, load_text, read_chunks
from lessons.errors import BadInput
from lessons.files import whole_file, write_json

import numpy as np

N_CODES = 0x110000  # how many characters Unicode has room for


def write_tokens(
    text: str | Path | None, folder: Path, block_size: int, run: RunDescription | None = None,
    check: Callable[[Tokens], object] = lambda tokens: None,
) -> Tokens:  # fmt: skip
    """Tokenize the file `text`, or Tiny Shakespeare, into `folder`, unless it is there already.

    A `run` that is resumed must have the same text. Raises BadInput, before anything is written,
    for a text that is not the run's or too short for block_size, a file that cannot be read, more
    than 65,536 distinct characters, and what `check` refuses, which knows only now what is in it.
    """
    chunks = _chunks(text)
    tokens = _scanned(chunks, run)
    if len(tokens.vocabulary) > 2**16:
        raise BadInput(f"The text has {len(tokens.vocabulary):,} distinct characters, but uint16 "
                       "ids tell only 65,536 apart: remove the rarest ones.")  # fmt: skip
    check_length(range(n_validation(tokens.n_tokens)), block_size)
    check(tokens)
    if described_tokens(folder) == tokens and are_whole(folder, tokens):
        return tokens
    ids, digest = np.zeros(N_CODES, dtype=np.uint16), sha256()
    ids[codes_of(tokens.vocabulary)] = np.arange(len(tokens.vocabulary))
    try:
        # The JSON first: a tokens.bin alone is then somebody else's.
        write_json(folder / "tokens.json", asdict(tokens))
        with whole_file(folder / "tokens.bin") as file:
            for chunk in shown(chunks(), "writing tokens"):
                digest.update(chunk.encode())
                file.write(ids[codes_of(chunk)].tobytes())
            if digest.hexdigest() != tokens.text_sha256:
                raise BadInput(f"{text} changed between its first and its second reading: try "
                               "again once it is complete.")  # fmt: skip
    except OSError as error:
        raise BadInput(
            f"The tokens, {2 * tokens.n_tokens / 1e9:.2f} GB, cannot be written to {folder} "
            f"({error.strerror or error}): make room for them there, or name another --out."
        ) from None
    return tokens


def _scanned(chunks: Callable[[], Iterable[str]], run: RunDescription | None) -> Tokens:
    """What a text holds, read once; raises BadInput if it is not the text of `run`."""
    seen, digest, n_tokens = np.zeros(N_CODES, dtype=bool), sha256(), 0
    known, problem = set(run.vocabulary) if run else set(), "This is not the run's text"
    for chunk in shown(chunks(), "reading the text"):
        codes = codes_of(chunk)
        if known and (unknown := set(chunk) - known):
            first = min(chunk.index(ch) for ch in unknown)
            problem = (f"The character {chunk[first]!r} at position {n_tokens + first} of the text "
                       "is not in this run's vocabulary")  # fmt: skip
            known = set()  # the first one is enough
        seen[codes] = True
        digest.update(chunk.encode())
        n_tokens += len(codes)
    vocabulary = "".join(chr(code) for code in np.flatnonzero(seen))
    tokens = Tokens(vocabulary, n_tokens, digest.hexdigest())
    if run is not None:
        if tokens.text_sha256 != run.text_sha256:
            raise BadInput(f"{problem}, and its losses could not be compared: leave out --text to "
                           "continue with the run's own, or start a new run with another --out."
                           )  # fmt: skip
        check_vocabulary(tokens, run)
    return tokens


def _chunks(text: str | Path | None) -> Callable[[], Iterable[str]]:
    """A function that reads the text from its start, each time it is called."""
    if text is not None:
        return lambda: read_chunks(Path(text))
    whole = load_text()
    return lambda: [whole]
