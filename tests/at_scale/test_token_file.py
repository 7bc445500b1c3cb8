"""A text of any length as token ids in a file."""

import errno
import os
from dataclasses import replace
from time import perf_counter

from lessons.at_scale import token_writing
from lessons.at_scale.token_file import are_whole, as_ids, open_tokens
from lessons.at_scale.token_writing import write_tokens
from lessons.batches import split
from lessons.corpus import read_chunks, sha256
from lessons.errors import BadInput
from lessons.tokenizer import CharTokenizer

import pytest
import torch


def test_the_tokens_are_those_of_the_tokenizer(tmp_path, text_file, text, data, monkeypatch):
    monkeypatch.setattr(token_writing, "read_chunks", lambda path: read_chunks(path, n_chars=100))
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


def change_between_readings(monkeypatch, change) -> None:
    """Call `change` after the text was read once, before it is read again."""
    readings = []

    def chunks(path):
        readings.append(path)
        if len(readings) == 2:
            change(path)
        yield from read_chunks(path)

    monkeypatch.setattr(token_writing, "read_chunks", chunks)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(path.read_text().replace("q", "Q")),
        lambda path: path.write_text(path.read_text()[::-1]),
        lambda path: path.write_text(path.read_text() + "more"),
        lambda path: path.write_text(path.read_text()[:-1]),
    ],
    ids=["unknown characters", "known characters", "longer", "shorter"],
)
@pytest.mark.parametrize("same_time", [False, True])
def test_a_text_that_changes_between_its_readings_is_refused(
    tmp_path, text_file, monkeypatch, change, same_time
):
    time = text_file.stat().st_mtime_ns

    def change_it(path):
        change(path)
        if same_time:
            os.utime(path, ns=(time, time))

    change_between_readings(monkeypatch, change_it)
    with pytest.raises(BadInput, match="changed between its first and its second reading"):
        write_tokens(text_file, tmp_path, 8)
    assert not (tmp_path / "tokens.bin").exists()
    monkeypatch.undo()
    about = write_tokens(text_file, tmp_path, 8)  # what was left behind is replaced
    assert about.text_sha256 == sha256(text_file.read_text())
    assert len(torch.cat(open_tokens(tmp_path))) == about.n_tokens


@pytest.mark.parametrize("characters", ["abc", "äbc", "\N{GRINNING FACE}bc", "a\ufffd\uffff"])
def test_tokens_are_whole_only_if_they_give_the_text_back(tmp_path, characters):
    path = tmp_path / "text.txt"
    path.write_text(characters * 100, encoding="utf-8")
    about = write_tokens(path, tmp_path, 8)
    assert are_whole(tmp_path, about)
    assert not are_whole(tmp_path, replace(about, vocabulary=about.vocabulary[::-1]))
    assert not are_whole(tmp_path, replace(about, vocabulary=about.vocabulary + "~"))
    assert not are_whole(tmp_path, replace(about, vocabulary="\ud800bc"))
    tokens = bytearray((tmp_path / "tokens.bin").read_bytes())
    for place in (0, len(tokens) // 2, len(tokens) - 1):
        tokens[place] ^= 1
        (tmp_path / "tokens.bin").write_bytes(tokens)
        assert not are_whole(tmp_path, about)
        tokens[place] ^= 1
    (tmp_path / "tokens.bin").write_bytes(tokens[2:4] + tokens[:2] + tokens[4:])
    assert not are_whole(tmp_path, about)


@pytest.mark.slow
def test_checking_tokens_takes_less_time_than_writing_them(tmp_path, text):
    path = tmp_path / "long.txt"
    path.write_text(text * (10**7 // len(text)))
    begun = perf_counter()
    about = write_tokens(path, tmp_path, 8)
    written = perf_counter()
    assert are_whole(tmp_path, about)
    assert perf_counter() - written < written - begun


def test_as_many_characters_as_uint16_has_ids_are_taken(tmp_path):
    path = tmp_path / "many.txt"
    path.write_text("".join(chr(0x10000 + code) for code in range(2**16)), encoding="utf-8")
    assert len(write_tokens(path, tmp_path, 8).vocabulary) == 2**16


def test_tokens_that_were_cut_off_or_lost_are_not_opened(tmp_path, text_file):
    write_tokens(text_file, tmp_path, 8)
    whole = (tmp_path / "tokens.bin").read_bytes()
    (tmp_path / "tokens.bin").write_bytes(whole[:-2])
    with pytest.raises(BadInput, match="has lost its tokens: give the run's text again"):
        open_tokens(tmp_path)
    (tmp_path / "tokens.bin").write_bytes(whole)
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(BadInput, match="has lost its tokens: give the run's text again"):
        open_tokens(tmp_path)


def test_what_is_done_to_opened_tokens_never_reaches_the_file(tmp_path, text_file):
    write_tokens(text_file, tmp_path, 8)
    before = (tmp_path / "tokens.bin").read_bytes()
    open_tokens(tmp_path)[0].zero_()
    assert (tmp_path / "tokens.bin").read_bytes() == before


def test_a_disk_without_room_for_the_tokens_is_told_how_much_they_take(
    tmp_path, text_file, monkeypatch
):
    def whole_file(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(token_writing, "whole_file", whole_file)
    with pytest.raises(BadInput, match=r"^The tokens, 0.00 GB, .* \(No space left on device\): "):
        write_tokens(text_file, tmp_path, 8)
