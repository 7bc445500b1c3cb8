"""A text of any length as token ids in a file."""

from lessons.at_scale import token_file
from lessons.at_scale.token_file import as_ids, open_tokens, write_tokens
from lessons.batches import split
from lessons.corpus import read_chunks, sha256
from lessons.errors import BadInput
from lessons.tokenizer import CharTokenizer

import pytest
import torch


def test_the_tokens_are_those_of_the_tokenizer(tmp_path, text_file, text, data, monkeypatch):
    monkeypatch.setattr(token_file, "read_chunks", lambda path: read_chunks(path, n_chars=100))
    about = write_tokens(text_file, tmp_path, 8)
    assert about.n_tokens == len(text) and about.text_sha256 == sha256(text)
    assert CharTokenizer(text).encode(about.vocabulary) == list(range(28))
    assert torch.equal(as_ids(torch.cat(open_tokens(tmp_path))), data)
    assert [len(part) for part in open_tokens(tmp_path)] == [len(part) for part in split(data)]


def test_tokens_are_written_once(tmp_path, text_file):
    write_tokens(text_file, tmp_path, 8)
    before = (tmp_path / "tokens.bin").stat().st_mtime_ns
    write_tokens(text_file, tmp_path, 8)
    assert (tmp_path / "tokens.bin").stat().st_mtime_ns == before


def test_ids_above_the_int16s_are_read_back(tmp_path):
    text = "".join(chr(0x10000 + code) for code in range(40_000))
    path = tmp_path / "many.txt"
    path.write_text(text, encoding="utf-8")
    write_tokens(path, tmp_path, 8)
    assert as_ids(torch.cat(open_tokens(tmp_path))).tolist() == list(range(40_000))


def test_more_characters_than_uint16_has_ids_are_refused(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("".join(chr(0x10000 + code) for code in range(70_000)), encoding="utf-8")
    with pytest.raises(BadInput, match="70,000 distinct characters"):
        write_tokens(path, tmp_path, 8)
