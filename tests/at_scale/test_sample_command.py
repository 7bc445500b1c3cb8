"""helper_scripts/sample.py: what it writes, and what it refuses."""

import os
import shutil
import subprocess
import sys

import sample

import pytest


def test_a_sample_streams_the_same_characters_for_the_same_seed(run):
    run.begin()
    words = ["--prompt", "the ", "--characters", "40", "--top-k", "5", "--temperature", "0.8"]
    first, again = (run(*words, script=sample) for _ in range(2))
    assert first == again and first.startswith("the ") and len(first) == 4 + 40 + 1
    assert run(*words, "--seed", "1", script=sample) != first


@pytest.mark.slow
def test_a_sample_comes_character_by_character(run):
    run.ended()
    command = [sys.executable, sample.__file__, "--run", str(run.folder), "--characters", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(20)) == 20  # while it is still writing
        assert process.poll() is None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(timeout=120) == 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--prompt", "the Fox"), "text has no 'F': leave it out of --prompt"),
        (("--temperature", "nan"), "--temperature: 'nan' is not a finite number above 0"),
        (("--temperature", "0"), "--temperature: '0' is not a finite number above 0"),
        (("--top-k", "0"), "--top-k: '0' is not a whole number from 1"),
        (("--characters", "0"), "--characters: '0' is not a whole number from 1"),
        (("--seed", str(10**30)), "is not a whole number from 0"),
    ],
)
def test_a_sample_that_cannot_be_is_refused(run, refused, flags, sentence):
    run.ended()
    assert sentence in refused(*flags, script=sample)


@pytest.fixture
def czech(run, tmp_path):
    """Samples of a run on a text that no ASCII terminal can show."""
    text = tmp_path / "text.txt"
    text.write_text("žluťoučký kůň → 😀 é\n" * 100, encoding="utf-8")
    run("--preset", "small", "--text", text, "--max-iters", "1")
    return lambda prompt: run("--characters", "1", "--prompt", prompt, script=sample)


@pytest.mark.parametrize(
    ("terminal", "prompt"),
    [
        ("utf-8", "kůň → 😀"),
        ("latin-1", "é"),
        ("ascii", "kůň → 😀"),
        ("ascii", "é"),
        ("ascii", "\n"),
    ],
)
def test_a_prompt_is_the_same_whatever_the_terminal_writes(czech, monkeypatch, terminal, prompt):
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode(terminal, "surrogateescape"))
    typed = prompt.encode("latin-1" if terminal == "latin-1" else "utf-8")
    assert czech(typed.decode(terminal, "surrogateescape")).startswith(prompt)


@pytest.mark.parametrize("prompt", ["\udcff", "kůň\udcff", "k\udcc5"])
def test_half_characters_of_no_text_are_refused_by_name(czech, refused, prompt):
    said = refused("--prompt", prompt, script=sample)
    assert f"The run's text has no {prompt[-1]!r}: leave it out of --prompt." in said


def test_a_best_checkpoint_of_another_run_is_passed_over(run, refused, text_file):
    run.ended()
    other = run.folder.with_name("other")
    run("--preset", "small", "--seed", "7", "--text", text_file, "--max-iters", "1", out=other)

    def written(out=run.folder):
        return run("--characters", "20", script=sample, out=out)

    expected = written()
    (run.folder / "best.pt").unlink()  # which may be last.pt too
    shutil.copy(other / "best.pt", run.folder)
    assert written() == expected
    shutil.copy(other / "losses.json", run.folder)
    assert written() == written(other)
    (run.folder / "best.pt").unlink()
    assert "move losses.json elsewhere" in refused(script=sample)
    (run.folder / "losses.json").write_text("no JSON")
    assert written() == expected


def test_a_folder_without_a_run_cannot_be_sampled(refused, tmp_path):
    assert "holds no checkpoint" in refused(script=sample, out=tmp_path)
