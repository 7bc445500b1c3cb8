"""Checkpoints outlive kills, damage and full disks, to the same bits."""

import errno
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import sample
import train
from lessons.at_scale.checkpoints import find_checkpoint, read_checkpoint, save_checkpoint
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.run_folder import save, writing
from lessons.at_scale.state import TrainingState
from lessons.batches import split
from lessons.errors import BadInput
from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from lessons.presets import PRESETS, TrainingConfig
from tiny_runs import FEW, new_model, same, truncate, with_helper_scripts

import pandas as pd
import pytest
import torch


def test_a_checkpoint_holds_all_there_is_to_know(run):
    run.begin()
    checkpoint = read_checkpoint(run.folder / "best.pt")
    about = checkpoint["about"]
    assert checkpoint.keys() >= {"model", "optimizer", "step", "batch_rng", "rng"}
    assert about["shape"]["n_embd"] == 64 and len(about["vocabulary"]) == 28
    assert checkpoint["rng"][0]["cpu"].dtype == torch.uint8


def test_the_best_checkpoint_is_the_one_of_the_lowest_validation_loss(data, tmp_path):
    config = TrainingConfig(batch_size=4, max_iters=30, eval_interval=10, learning_rate=0.3)
    losses = train_at_scale(new_model(), *split(data), config, folder=tmp_path)
    best = losses.loc[losses.val_loss.idxmin()]
    assert read_checkpoint(tmp_path / "best.pt")["step"] == best.step


def test_a_later_checkpoint_of_a_higher_validation_loss_is_not_the_best(tmp_path):
    state = TrainingState(new_model(), FEW, torch.float32, seed=0)

    def saved(step: int) -> dict[str, int]:
        state.step = step
        save(tmp_path, state, run=None)
        return {path.stem: read_checkpoint(path)["step"] for path in tmp_path.glob("*.pt")}

    state.rows = [(0, 4.0, 4.0, 0.1), (10, 2.0, 2.0, 0.2)]
    assert saved(10) == {"last": 10, "best": 10}
    # Stopped by Ctrl-C, without a loss of its own.
    assert saved(13) == {"last": 13, "previous": 10, "best": 10}
    state.rows.append((20, 3.0, 3.0, 0.3))
    assert saved(20) == {"last": 20, "previous": 13, "best": 10}


# In whose code a run may be killed: anywhere in ours, or while torch writes a checkpoint.
PLACES = ("/lessons/", "/torch/serialization.py")
# What is saved of one block is saved of four, in four times as many calls.
ONE_BLOCK = replace(PRESETS["small"], shape=replace(PRESETS["small"].shape, n_layer=1))


def run_train(words: list[str], last_calls: tuple[int, int], n_calls) -> None:
    """train.py in a process of its own, whose thread count is always the same.

    It counts the calls in each of PLACES in `n_calls`, of C's functions too, and kills itself
    when one of them is the last: a moment that no busy machine moves.
    """

    def count(frame, event, function) -> None:
        for n, place in enumerate(PLACES):
            if event in ("call", "c_call") and place in frame.f_code.co_filename:
                n_calls[n] += 1
                if n_calls[n] == last_calls[n]:
                    os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    PRESETS["small"] = ONE_BLOCK
    sys.argv = ["train.py", *words]
    with open(os.devnull, "w") as sys.stderr:
        sys.setprofile(count)
        try:
            train.main()
        finally:
            sys.setprofile(None)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_bits(
    tmp_path, text_file, monkeypatch
):
    monkeypatch.setitem(PRESETS, "small", ONE_BLOCK)
    # A server that has imported torch once and forks, so that no start takes seconds.
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        # AdamW imports the second one when it is first used, which takes as long as torch itself.
        context.set_forkserver_preload([__name__, "torch._dynamo"])
    # At this rate the loss jumps: the best checkpoint often is not the last.
    settings = ["--text", str(text_file), "--max-iters", "60", "--eval-interval", "2",
                "--batch-size", "4", "--dropout", "0.1", "--warmup-iters", "5",
                "--learning-rate", "0.4"]  # fmt: skip

    def train_until(last_calls: tuple[int, int], folder: Path) -> tuple[int, list[int]]:
        """Exit code and numbers of calls of a run, resumed if it can be."""
        resume = ["--resume"] if (folder / "losses.json").exists() else []
        words = ["--preset", "small", "--out", str(folder), *resume, *settings]
        n_calls = context.Array("q", 2, lock=False)
        process = context.Process(target=run_train, args=(words, last_calls, n_calls))
        process.start()
        process.join()
        return process.exitcode, list(n_calls)

    _, n_calls = train_until((0, 0), tmp_path / "whole")
    moment, steps, kills, folder = random.Random(1337), [], 0, tmp_path / "killed"
    while kills < 20:
        last_calls = [0, 0]
        last_calls[kills % 2] = moment.randrange(1, n_calls[kills % 2] // 2)
        exitcode, _ = train_until(tuple(last_calls), folder)
        assert exitcode in (0, -signal.SIGKILL)
        found = find_checkpoint(folder)
        steps.append(found.contents["step"] if found else 0)
        if exitcode == 0:  # it was done before it could be killed: from the beginning
            shutil.rmtree(folder)
        else:
            kills += 1
    assert len(set(steps)) > 5, steps
    print(steps)
    assert train_until((0, 0), folder)[0] == 0
    for name in ("last.pt", "previous.pt", "best.pt"):
        whole, killed = (read_checkpoint(tmp_path / run / name) for run in ("whole", "killed"))
        assert same(whole, killed), name
    whole, killed = (
        read_csv(tmp_path / run / "losses.csv", COLUMNS) for run in ("whole", "killed")
    )
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), killed.drop(columns="seconds"))
    assert not list(folder.glob(".*.tmp"))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def replace_by_text(path: Path) -> None:
    path.write_text("not a checkpoint")


def replace_by_code(path: Path) -> None:
    torch.save({"step": Path("what unpickling this would run")}, path)


def replace_by_another_model(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncate, "is cut off, or is no checkpoint"),
        (flip_a_bit, "is damaged (a checksum is wrong)"),
        (replace_by_text, "is cut off, or is no checkpoint"),
        (replace_by_code, "holds more than tensors and plain values"),
        (replace_by_another_model, "is not a checkpoint of this course"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_previous_one_used(run, damage, sentence, capsys):
    run.begin()
    last = run.folder / "last.pt"
    damage(last)  # and with it best.pt, another name of the same file
    assert find_checkpoint(run.folder).path == run.folder / "previous.pt"
    said = capsys.readouterr().err.splitlines()
    assert sentence in said[0] and len(said) == 2 and "previous.pt, from step 10" in said[1]
    run("--resume")
    assert read_checkpoint(last)["step"] == 20


def test_a_checkpoint_is_read_once_by_a_resume_and_by_a_sample(run, monkeypatch):
    run.ended()
    read, load = [], torch.load
    monkeypatch.setattr(
        torch, "load", lambda path, **how: read.append(path.name) or load(path, **how)
    )
    run("--resume", "--max-iters", "21")
    assert read == ["last.pt"]
    run("--characters", "1", script=sample)
    assert read == ["last.pt", "best.pt"]


def test_to_another_process_a_checkpoint_is_its_path(run):
    run.ended()
    found = find_checkpoint(run.folder)
    sent = pickle.dumps(found)
    assert len(sent) < 1000
    received = pickle.loads(sent)
    assert received.path == found.path and same(received.contents, found.contents)


def test_a_resumed_run_keeps_nothing_of_the_checkpoint_that_it_no_longer_needs(data, tmp_path):
    train_at_scale(new_model(), *split(data), FEW, folder=tmp_path)
    found = find_checkpoint(tmp_path)
    losses = train_at_scale(new_model(), *split(data), FEW, resume_from=found.contents)
    assert found.contents == {} and losses.step.tolist() == [0, 10, 20]


def test_without_a_good_checkpoint_the_run_is_refused(run, refused):
    run.ended()
    for name in ("last.pt", "previous.pt", "best.pt"):
        (run.folder / name).unlink()
        (run.folder / name).write_text("not a checkpoint")
    assert "has no good checkpoint" in refused("--resume")


def test_a_checkpoint_of_another_run_is_passed_over(run, tmp_path, text_file, capsys):
    run.begin()
    run("--preset", "cpu", "--text", text_file, "--max-iters", 1, out=tmp_path / "other")
    shutil.copy(tmp_path / "other" / "last.pt", run.folder / "last.pt")
    run("--resume")
    assert read_checkpoint(run.folder / "last.pt")["about"]["preset"] == "small"


def test_a_full_disk_after_a_damaged_checkpoint_does_not_take_the_last_good_one(run, refused):
    run.begin()
    truncate(run.folder / "last.pt")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", fail)
        assert "No space left" in refused("--resume")
    assert find_checkpoint(run.folder).contents["step"] == 10


@pytest.mark.parametrize("where", ["at once", "half way"])
def test_on_a_full_disk_the_last_good_checkpoint_stays(data, tmp_path, monkeypatch, where):
    train_at_scale(new_model(), *split(data), FEW, folder=tmp_path)
    good = read_checkpoint(tmp_path / "last.pt")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*args):
        if where == "half way":
            args[1].write(b"the first half")
        raise full

    monkeypatch.setattr(torch, "save", fail)
    with (
        pytest.raises(BadInput, match="cannot be written .No space left.*--resume"),
        writing(tmp_path),
    ):
        save_checkpoint(tmp_path, good, is_best=True)
    for name in ("last.pt", "best.pt"):
        assert same(read_checkpoint(tmp_path / name), good)
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit to set")
def test_a_write_that_the_system_refuses_keeps_the_last_good_checkpoint(run, tmp_path):
    run.begin()
    before = read_checkpoint(run.folder / "last.pt")
    code = (
        "import resource, sys, train; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6));"
        "train.main()"
    )
    words = ["--out", str(run.folder), "--resume", "--max-iters", "40"]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True,
        env=with_helper_scripts(),
    )  # fmt: skip
    assert result.returncode == 2
    assert "cannot be written (File too large): free some space" in result.stderr
    assert "Traceback" not in result.stderr
    assert same(read_checkpoint(run.folder / "last.pt"), before)
    run("--resume", "--max-iters", "40")
    assert read_checkpoint(run.folder / "last.pt")["step"] == 40
