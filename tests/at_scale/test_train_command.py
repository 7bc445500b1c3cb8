"""helper_scripts/train.py: what it prints, and the flags that it refuses."""

import json

import train
from lessons.evaluation import COLUMNS
from lessons.files import read_csv

import pytest


def test_a_run_leaves_losses_in_the_ladders_format_and_says_how_it_went(run):
    printed = run.begin("--seed", "5")
    losses = read_csv(run.folder / "losses.csv", COLUMNS)
    assert list(losses.columns) == COLUMNS and losses.step.tolist() == [0, 10, 20]
    about = json.loads((run.folder / "losses.json").read_text())
    assert about["seeds"] == [5] and set(losses.seed) == {5}
    assert about["hyperparameters"]["max_iters"] == 20
    assert f"Validation loss {losses.val_loss.iloc[-1]:.4f} at step 20" in printed


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "Name what to train with --preset"),
        (("--preset", "tiny"), "no preset 'tiny'"),
        (("--preset", "small", "--dtype", "float16"), "float16 needs a CUDA device"),
        (("--preset", "small", "--batch-size", "16", "--grad-accum-steps", "3"), "multiple of 3"),
        (("--preset", "small", "--device", "abacus"), "no device 'abacus'"),
        (("--preset", "small", "--max-iters", "0"), "'0' is not a whole number from 1 to"),
        (("--preset", "small", "--eval-interval", "1.5"), "'1.5' is not a whole number from 1"),
        (("--preset", "small", "--warmup-iters", "-1"), "'-1' is not a whole number from 0 to"),
        (("--preset", "small", "--learning-rate", "1e400"), "is not a finite number above 0"),
        (("--preset", "small", "--dropout", "1"), "not a number from 0 to below 1"),
        (("--preset", "small", "--seed", "-1"), "'-1' is not a whole number from 0 to"),
        (("--preset", "small", "--size", "3"), "unrecognized arguments: --size 3"),
        (("--resume",), "holds no run to resume"),
    ],
)
def test_flags_that_contradict_each_other_or_the_machine_are_refused(refused, flags, sentence):
    assert sentence in refused("--device", "cpu", *flags)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--preset", "cpu"), "--preset cpu contradicts the run"),
        (("--seed", "3"), "--seed 3 contradicts the run"),
        (("--max-iters", "10"), "at step 20 already: --max-iters cannot be below"),
    ],
)
def test_flags_that_contradict_a_resumed_run_are_refused(run, refused, flags, sentence):
    run.begin()
    assert sentence in refused("--resume", *flags)


def test_a_folder_with_another_run_is_refused(run, refused):
    run.begin()
    said = refused("--preset", "cpu", "--seed", "3")
    assert "holds a run already (preset small, seed 1337)" in said and "--out" in said


def test_resume_with_nothing_there_is_refused(refused):
    assert "holds no run to resume: leave out --resume" in refused("--resume")


def test_a_full_memory_is_told_in_one_sentence(refused, monkeypatch):
    def fail(*args, **more):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")

    monkeypatch.setattr(train, "train_at_scale", fail)
    assert "memory of this cpu is full: raise --grad-accum-steps" in refused(begin=True)


def test_ctrl_c_before_anything_is_saved_is_answered_too(refused, run, monkeypatch, capsys):
    def interrupt(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_at_scale", interrupt)
    with pytest.raises(SystemExit) as end:
        run.begin()
    assert end.value.code == 130 and capsys.readouterr().err.endswith("Stopped.\n")
