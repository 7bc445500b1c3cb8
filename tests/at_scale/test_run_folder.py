"""A run's folder: whose it is, and what is lost, foreign or in the way."""

import errno
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import train
from lessons.at_scale import run_folder, token_file
from lessons.at_scale.token_writing import write_tokens
from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from tiny_runs import truncate

import psutil
import pytest
from filelock import FileLock


def test_a_resumed_run_can_be_given_more_steps(run):
    run.ended()
    run("--resume", "--max-iters", "30")
    assert read_csv(run.folder / "losses.csv", COLUMNS).step.tolist() == [0, 10, 20, 30]


def test_two_processes_cannot_train_in_one_folder(run, refused):
    run.folder.mkdir()
    with FileLock(run.folder / ".lock"):
        assert "Another process is training" in refused(begin=True)


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(run):
    run.folder.mkdir()
    ours, theirs = run.folder / ".last.pt.123.tmp", run.folder / ".notes.txt.123.tmp"
    ours.touch(), theirs.touch()
    run.begin("--max-iters", "1")
    assert theirs.exists() and not ours.exists()


def test_files_of_somebody_else_are_not_written_over(run, refused):
    run.folder.mkdir()
    (run.folder / "last.pt").write_text("my notes")
    assert "has no good checkpoint" in refused(begin=True)
    assert (run.folder / "last.pt").read_text() == "my notes"


def test_a_lost_description_is_found_in_the_checkpoint(run, refused):
    run.ended()
    (run.folder / "losses.json").write_text("damaged")
    assert "holds a run already" in refused(begin=True)
    run("--resume", "--max-iters", "21")
    assert json.loads((run.folder / "losses.json").read_text())["preset"] == "small"
    assert (run.folder / "losses.unused.json").read_text() == "damaged"
    run("--resume", "--max-iters", "22")
    assert not (run.folder / "losses.unused1.json").exists()


def reverse(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


def change_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("damage", [truncate, Path.unlink, change_one_bit, reverse])
def test_lost_and_damaged_tokens_are_asked_for_and_taken(run, refused, text_file, damage):
    run.ended()
    tokens = run.folder / "tokens.bin"
    whole = tokens.read_bytes()
    damage(tokens)
    assert "text again with --text" in refused("--resume")
    run("--resume", "--text", text_file)
    assert tokens.read_bytes() == whole


def test_tokens_of_another_text_are_not_trained_on_even_if_they_are_whole(run, refused, text):
    run.ended()
    other = run.folder.with_name("other.txt")
    other.write_text(text[::-1])
    write_tokens(other, run.folder, 32)
    assert "does not have the run's tokens: give its text again" in refused("--resume")
    (run.folder / "tokens.json").unlink()
    assert "does not have the run's tokens: give its text again" in refused("--resume")


def test_tokens_that_the_disk_does_not_give_back_are_named(run, refused, monkeypatch):
    def are_whole(folder, tokens):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    run.ended()
    monkeypatch.setattr(token_file, "are_whole", are_whole)
    assert f"{run.folder / 'tokens.bin'} cannot be read (Input/output" in refused("--resume")


def test_a_vocabulary_changed_in_the_tokens_description_is_found(run, refused, text_file):
    run.ended()
    about = run.folder / "tokens.json"
    before = about.read_bytes()
    edit(about, vocabulary=json.loads(before)["vocabulary"][::-1])
    assert "damaged: give the run" in refused("--resume")
    run("--resume", "--text", text_file)
    assert about.read_bytes() == before


def forget_training(folder: Path) -> None:
    """As after a kill before the first checkpoint."""
    for path in (*folder.glob("*.pt"), folder / "losses.csv"):
        path.unlink()


def longer(about: dict) -> dict:
    vocabulary = about["vocabulary"] + "~"
    shape = about["shape"] | {"vocab_size": len(vocabulary)}
    return {"vocabulary": vocabulary, "shape": shape}


@pytest.mark.parametrize(
    "change",
    [
        lambda about: {"vocabulary": about["vocabulary"].replace(";", ":")},
        lambda about: {"vocabulary": about["vocabulary"].replace("z", "{")},
        longer,
    ],
)
def test_a_vocabulary_changed_in_the_runs_description_is_never_trained_on(
    run, refused, text_file, change
):
    run.ended()
    whole = {name: (run.folder / name).read_bytes() for name in ("last.pt", "losses.csv")}
    about = run.folder / "losses.json"
    good = about.read_text()
    edit(about, **change(json.loads(good)))
    assert "losses.json describes another run than" in refused("--resume")
    forget_training(run.folder)
    for words in ((), ("--text", text_file)):
        said = refused("--resume", *words)
        assert "The vocabulary in losses.json is not that of the run's text" in said
    about.write_text(good)
    for name, content in whole.items():
        (run.folder / name).write_bytes(content)
    run("--resume", "--max-iters", "21")


def test_a_run_begun_by_an_older_version_of_this_course_resumes(run, text_file):
    """Nothing was added to its files: the text's own checksum is enough."""
    run.ended()
    names = ("n_tokens", "text_sha256", "vocabulary")
    assert sorted(json.loads((run.folder / "tokens.json").read_text())) == list(names)
    run("--resume", "--max-iters", "21")


def test_a_description_of_another_run_does_not_cost_the_checkpoints(run, refused, text_file):
    run.ended()
    other = run.folder.with_name("other")
    run("--preset", "small", "--seed", "7", "--text", text_file, "--max-iters", "1", out=other)
    shutil.copy(other / "losses.json", run.folder)
    said = refused("--resume")
    assert "losses.json describes another run than" in said and "step 20 (seed differs)" in said
    assert "move losses.json elsewhere, and --resume and samples use that" in said
    (run.folder / "losses.json").rename(other / "losses.json")  # as it says
    run("--resume", "--max-iters", "20")
    assert json.loads((run.folder / "losses.json").read_text())["seeds"] == [1337]


def test_checkpoints_that_are_passed_over_are_kept_under_another_name(run, text_file):
    run.ended()
    other = run.folder.with_name("other")
    run("--preset", "small", "--seed", "7", "--text", text_file, "--max-iters", "1", out=other)
    foreign = (other / "last.pt").read_bytes()
    for _ in range(2):
        (run.folder / "last.pt").unlink()  # which may be best.pt too
        shutil.copy(other / "last.pt", run.folder)
        run("--resume", "--max-iters", "20")
    for name in ("last.unused.pt", "last.unused1.pt"):
        assert (run.folder / name).read_bytes() == foreign


@pytest.mark.parametrize("name", ["losses.csv", "tokens.bin", "tokens.json"])
def test_a_new_run_replaces_no_file_of_somebody_else(run, refused, name):
    run.folder.mkdir()
    (run.folder / name).write_text("my notes")
    assert f"holds a {name} that is no run's: name another --out" in refused(begin=True)
    assert (run.folder / name).read_text() == "my notes"


def test_a_run_killed_before_it_was_described_begins_again(run):
    run.ended()
    forget_training(run.folder)
    (run.folder / "losses.json").unlink()
    tokens = (run.folder / "tokens.bin").read_bytes()
    change_one_bit(run.folder / "tokens.bin")
    run.begin("--max-iters", "1")
    assert (run.folder / "tokens.bin").read_bytes() == tokens


def test_a_run_that_another_process_began_and_ended_meanwhile_is_not_replaced(
    run, refused, monkeypatch
):
    run.ended()
    done = run.folder.with_name("done")
    run.folder.rename(done)

    def claimed(folder):
        shutil.copytree(done, folder)
        return run_folder.claimed(folder)

    monkeypatch.setattr(train, "claimed", claimed)
    assert "holds a run already" in refused(begin=True)


def test_a_disk_that_cannot_lock_files_gets_a_sentence(refused, monkeypatch):
    def acquire(self):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert "its file system has no locks): name another --out" in refused(begin=True)


def test_a_refused_resume_leaves_the_tokens_as_they_were(run, refused, tmp_path, text):
    run.ended()
    before = (run.folder / "tokens.bin").read_bytes()
    other = tmp_path / "other.txt"
    other.write_text(text[::-1])
    refused("--resume", "--text", other, "--max-iters", "5")
    assert (run.folder / "tokens.bin").read_bytes() == before


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def no_memory(monkeypatch) -> None:
    available = namedtuple("memory", "available")(0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)


def damaged_in(folder: Path, name: str) -> None:
    """A file that a resume would set aside or replace."""
    path = folder / name
    content = path.read_bytes()[:100]
    path.unlink()  # last.pt may be best.pt too
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["last.pt", "losses.json", "tokens.bin"])
@pytest.mark.parametrize(
    "words",
    [
        ("--max-iters", "5"), ("--seed", "8"), ("--preset", "cpu"), ("--grad-accum-steps", "5"),
        ("--text", "no such file"), ("--text", "other.txt"), ("--dtype", "float16"), (),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_resume_that_is_refused_changes_no_file(
    run, refused, text, text_file, tmp_path, monkeypatch, name, words
):
    run.ended()
    damaged_in(run.folder, name)
    before = contents_of(run.folder)
    (tmp_path / "other.txt").write_text(text[::-1])
    monkeypatch.chdir(tmp_path)
    if not words:
        no_memory(monkeypatch)
    given = words if "--text" in words else (*words, "--text", text_file)
    refused("--resume", "--device", "cpu", *given)
    assert contents_of(run.folder) == before


def test_a_new_run_that_does_not_fit_leaves_nothing(run, refused, monkeypatch):
    no_memory(monkeypatch)
    assert "GB that are free here" in refused(begin=True)
    assert contents_of(run.folder) == {}


def test_a_text_with_characters_outside_the_runs_vocabulary_is_refused(run, refused, tmp_path):
    run.ended()
    other = tmp_path / "other.txt"
    other.write_text("the quick brown fox jumps over the Dog and the Dog")
    said = refused("--resume", "--text", other)
    assert "'D' at position 35 of the text is not in this run's vocabulary" in said
    assert run("--resume", "--max-iters", "30")  # nothing was lost


def test_another_text_is_refused_even_if_its_characters_are_known(run, refused, tmp_path, text):
    run.ended()
    other = tmp_path / "other.txt"
    other.write_text(text + text)
    assert "This is not the run's text" in refused("--resume", "--text", other)


def test_a_text_that_is_too_short_is_refused_and_a_longer_one_then_taken(run, refused, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("hello world")
    said = refused("--preset", "small", "--text", short)
    assert "A context of 32 needs at least 33 tokens in each split" in said
    run.begin("--max-iters", "1")
