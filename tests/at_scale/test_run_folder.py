"""A run's folder: whose it is, and what is lost, foreign or in the way."""

import json
from pathlib import Path

from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from tiny_runs import truncate

from filelock import FileLock


def test_a_resumed_run_can_be_given_more_steps(run):
    run.begin()
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
    run.begin()
    assert theirs.exists() and not ours.exists()


def test_files_of_somebody_else_are_not_written_over(run, refused):
    run.folder.mkdir()
    (run.folder / "last.pt").write_text("my notes")
    assert "no good checkpoint left" in refused(begin=True)
    assert (run.folder / "last.pt").read_text() == "my notes"


def test_a_lost_description_is_found_in_the_checkpoint(run, refused):
    run.begin()
    (run.folder / "losses.json").write_text("damaged")
    assert "holds a run already" in refused(begin=True)
    run("--resume", "--max-iters", "30")
    assert json.loads((run.folder / "losses.json").read_text())["preset"] == "small"


def test_lost_tokens_are_asked_for_and_taken(run, refused, text_file):
    run.begin()
    for damage in (truncate, Path.unlink):
        damage(run.folder / "tokens.bin")
        assert "give the run's text again with --text" in refused("--resume")
        run("--resume", "--text", text_file)


def test_a_refused_resume_leaves_the_tokens_as_they_were(run, refused, tmp_path, text):
    run.begin()
    before = (run.folder / "tokens.bin").read_bytes()
    other = tmp_path / "other.txt"
    other.write_text(text[::-1])
    refused("--resume", "--text", other, "--max-iters", "5")
    assert (run.folder / "tokens.bin").read_bytes() == before


def test_a_text_with_characters_outside_the_runs_vocabulary_is_refused(run, refused, tmp_path):
    run.begin()
    other = tmp_path / "other.txt"
    other.write_text("the quick brown fox jumps over the Dog")
    said = refused("--resume", "--text", other)
    assert "'D' at position 35 of the text is not in this run's vocabulary" in said
    assert run("--resume", "--max-iters", "30")  # nothing was lost


def test_another_text_is_refused_even_if_its_characters_are_known(run, refused, tmp_path, text):
    run.begin()
    other = tmp_path / "other.txt"
    other.write_text(text + text)
    assert "This is not the run's text" in refused("--resume", "--text", other)


def test_a_text_that_is_too_short_is_refused_and_a_longer_one_then_taken(run, refused, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("hello world")
    said = refused("--preset", "small", "--text", short)
    assert "A context of 32 needs at least 33 tokens in each split" in said
    run.begin()
