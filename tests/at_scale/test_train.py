"""helper_scripts/train.py and sample.py, as a user calls them, and the checkpoints they keep."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import sample
import train
from lessons.at_scale import memory, token_file
from lessons.at_scale.checkpoints import find_checkpoint, read_checkpoint, room_in, save_checkpoint
from lessons.at_scale.interrupts import stop_requests
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.shared_loss import shared_full_loss
from lessons.at_scale.state import TrainingState
from lessons.at_scale.token_file import as_ids, open_tokens, write_tokens
from lessons.batches import split
from lessons.corpus import read_chunks, sha256
from lessons.errors import BadInput, Stopped
from lessons.evaluation import COLUMNS, full_loss
from lessons.files import read_csv
from lessons.gpt import GPT, GPTConfig
from lessons.presets import PRESETS, TrainingConfig
from lessons.tokenizer import CharTokenizer

import pandas as pd
import psutil
import pytest
import torch
from filelock import FileLock
from tqdm import tqdm

TINY = GPTConfig(vocab_size=28, block_size=8, n_layer=1, n_head=2, n_embd=16)
FEW = TrainingConfig(batch_size=4, max_iters=20, eval_interval=10, warmup_iters=5)


@pytest.fixture
def run(tmp_path, text_file, monkeypatch, capsys):
    """train.py's main in this process, on a small text; returns what it printed."""

    def main(*words: str, script=train, out: Path = tmp_path / "run") -> str:
        where = ["--out", str(out)] if script is train else ["--run", str(out)]
        monkeypatch.setattr(sys, "argv", ["script", *where, *map(str, words)])
        script.main()
        return capsys.readouterr().out

    main.begin = lambda *words: main(
        "--preset", "small", "--text", text_file, "--max-iters", "20", "--eval-interval", "10",
        *words,
    )  # fmt: skip
    main.folder = tmp_path / "run"
    return main


@pytest.fixture
def refused(run, capsys):
    """Call train.py and return the one sentence that it ends with."""

    def main(*words: str, begin: bool = False, **more) -> str:
        with pytest.raises(SystemExit) as end:
            run.begin(*words) if begin else run(*words, **more)
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert end.value.code == 2 and sentence.startswith("error: ")
        return sentence

    return main


def with_helper_scripts() -> dict[str, str]:
    """This environment, in which Python finds the helper scripts too."""
    paths = [str(Path(train.__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def new_model(dropout: float = 0.0) -> GPT:
    torch.manual_seed(0)
    return GPT(TINY, dropout)


def same(a: dict, b: dict) -> bool:
    """Whether two checkpoints hold the same to the bit, the seconds they took apart."""
    plain = []
    for checkpoint in (a, b):
        rows = [row[:3] for row in checkpoint["rows"]]
        plain.append(checkpoint | {"rows": rows, "seconds": None, "about": None})
    return equal(*plain)


def equal(a: object, b: object) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# The loop


def test_training_at_scale_lowers_the_loss_and_ends_with_the_full_loss(data):
    model, (train_data, val_data) = new_model(), split(data)
    losses = train_at_scale(model, train_data, val_data, FEW)
    assert losses.step.tolist() == [0, 10, 20]
    assert losses.val_loss.iloc[-1] < losses.val_loss.iloc[0]
    assert losses.val_loss.iloc[-1] == pytest.approx(full_loss(model, val_data, 8), abs=1e-5)


def test_micro_batches_give_the_losses_of_the_whole_batch(data):
    whole, parts = (
        train_at_scale(
            new_model(), *split(data), TrainingConfig(**FEW.__dict__ | {"grad_accum_steps": n})
        )
        for n in (1, 4)
    )
    pd.testing.assert_frame_equal(
        whole.drop(columns="seconds"), parts.drop(columns="seconds"), atol=1e-5, rtol=0
    )


def test_the_shared_loss_of_one_process_is_the_full_loss(data):
    model = new_model()
    assert shared_full_loss(model, data, 4) == pytest.approx(full_loss(model, data, 8), abs=1e-6)


def test_a_batch_that_cannot_be_cut_evenly_is_refused(data):
    config = TrainingConfig(batch_size=4, max_iters=20, grad_accum_steps=3)
    with pytest.raises(BadInput, match="batch_size 4 .* multiple of 3"):
        train_at_scale(new_model(), *split(data), config)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    data, tmp_path, capsys
):
    config = TrainingConfig(batch_size=4, max_iters=100, eval_interval=10, warmup_iters=5)
    train_at_scale(new_model(), *split(data), FEW, folder=tmp_path)
    good = read_checkpoint(tmp_path / "last.pt")
    broken = read_checkpoint(tmp_path / "last.pt")
    model = new_model()
    broken["model"]["lm_head.bias"] = torch.full((28,), torch.inf)
    torch.save(broken, tmp_path / "broken.pt")
    with pytest.raises(BadInput, match=r"loss became nan at step 20, .* learning rate of 0.00"):
        train_at_scale(
            model, *split(data), config, folder=tmp_path, resume_from=tmp_path / "broken.pt"
        )
    assert same(read_checkpoint(tmp_path / "last.pt"), good)


def test_infinite_gradients_are_noticed_before_they_are_saved(data, tmp_path):
    model = new_model()
    model.lm_head.bias.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(BadInput, match="loss became nan at step 0"):
        train_at_scale(model, *split(data), FEW, folder=tmp_path)
    assert read_checkpoint(tmp_path / "last.pt")["step"] == 0


# Checkpoints and resuming


@pytest.mark.parametrize(("by_torchrun", "kept"), [(True, False), (False, True)])
def test_a_process_of_torchrun_that_fails_is_not_ended_before_it_says_why(
    monkeypatch, by_torchrun, kept
):
    before = signal.getsignal(signal.SIGTERM)
    if by_torchrun:
        monkeypatch.setenv("LOCAL_RANK", "0")
    try:
        with pytest.raises(BadInput), stop_requests():
            raise BadInput("Another process has died.")
        assert (signal.getsignal(signal.SIGTERM) == before) == kept
        if by_torchrun:
            signal.raise_signal(signal.SIGTERM)  # and this test goes on
    finally:
        signal.signal(signal.SIGTERM, before)


class InterruptedBar(tqdm):
    """Presses Ctrl-C in the thirteenth step."""

    def update(self, n=1):
        super().update(n)
        if self.n == 13:
            signal.raise_signal(signal.SIGINT)


def test_a_run_stopped_by_ctrl_c_saves_and_ends_with_the_same_bits_when_resumed(data, tmp_path):
    whole = train_at_scale(new_model(0.2), *split(data), FEW, folder=tmp_path / "a")
    with pytest.raises(Stopped, match="Stopped at step 13 of 20, which is saved.*--resume"):
        train_at_scale(
            new_model(0.2), *split(data), FEW, folder=tmp_path / "b",
            progress=InterruptedBar(total=20),
        )  # fmt: skip
    stopped = read_checkpoint(tmp_path / "b" / "last.pt")
    assert stopped["step"] == 13
    resumed = train_at_scale(
        new_model(0.2),
        *split(data),
        FEW,
        folder=tmp_path / "b",
        resume_from=tmp_path / "b" / "last.pt",
    )
    a, b = (read_checkpoint(tmp_path / name / "last.pt") for name in "ab")
    assert same(a, b)
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), resumed.drop(columns="seconds"))


def run_train(words: list[str]) -> None:
    """train.py in a process of its own, whose thread count is always the same."""
    torch.set_num_threads(1)
    sys.argv = ["train.py", *words]
    with open(os.devnull, "w") as sys.stderr:
        train.main()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
def test_a_run_killed_at_twenty_random_moments_ends_with_the_same_bits(
    tmp_path, text_file, monkeypatch
):
    # A server that has imported torch once and forks, so that no start takes seconds.
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        monkeypatch.setenv("PYTHONPATH", str(Path(train.__file__).parent))
        context.set_forkserver_preload(["train"])
    settings = ["--text", str(text_file), "--max-iters", "300", "--eval-interval", "10",
                "--batch-size", "4", "--dropout", "0.1"]  # fmt: skip

    def start(folder: Path):
        resume = ["--resume"] if (folder / "losses.json").exists() else []
        words = ["--preset", "small", "--out", str(folder), *resume, *settings]
        process = context.Process(target=run_train, args=(words,))
        process.start()
        return process

    for name in ("warm-up", "whole"):
        begun = time.monotonic()
        start(tmp_path / name).join()
        seconds = time.monotonic() - begun
    seed = random.randrange(2**32)
    print(f"random seed {seed}, {seconds:.1f} s a run")  # shown when the test fails
    moment, steps, kills, folder = random.Random(seed), [], 0, tmp_path / "killed"
    while kills < 20:
        process = start(folder)
        process.join(moment.uniform(0, seconds / 2))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        path = find_checkpoint(folder)
        steps.append(read_checkpoint(path)["step"] if path else 0)
        if process.exitcode == 0:  # it was done before it could be killed: from the beginning
            shutil.rmtree(folder)
        else:
            kills += 1
    assert len(set(steps)) > 3, steps
    process = start(folder)
    process.join()
    assert process.exitcode == 0
    for name in ("last.pt", "previous.pt", "best.pt"):
        whole, killed = (read_checkpoint(tmp_path / run / name) for run in ("whole", "killed"))
        assert same(whole, killed), name
    whole, killed = (
        read_csv(tmp_path / run / "losses.csv", COLUMNS) for run in ("whole", "killed")
    )
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), killed.drop(columns="seconds"))
    assert not list(folder.glob(".*.tmp"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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
    assert find_checkpoint(run.folder) == run.folder / "previous.pt"
    said = capsys.readouterr().err.splitlines()
    assert sentence in said[0] and len(said) == 2 and "previous.pt, from step 10" in said[1]
    run("--resume")
    assert read_checkpoint(last)["step"] == 20


def test_a_full_disk_after_a_damaged_checkpoint_does_not_take_the_last_good_one(run, refused):
    run.begin()
    truncate(run.folder / "last.pt")

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", fail)
        assert "No space left" in refused("--resume")
    assert read_checkpoint(find_checkpoint(run.folder))["step"] == 10


def test_a_checkpoint_of_another_run_is_passed_over(run, tmp_path, text_file, capsys):
    run.begin()
    run("--preset", "cpu", "--text", text_file, "--max-iters", 1, out=tmp_path / "other")
    shutil.copy(tmp_path / "other" / "last.pt", run.folder / "last.pt")
    run("--resume")
    assert read_checkpoint(run.folder / "last.pt")["about"]["preset"] == "small"


def test_float16_with_its_gradient_scaler_trains_and_resumes(data, tmp_path):
    """On a CPU, since it is the arithmetic that counts; meant for GPUs older than Ampere."""
    half = {"dtype": torch.float16, "folder": tmp_path}
    losses = train_at_scale(new_model(), *split(data), FEW, **half)
    plain = train_at_scale(new_model(), *split(data), FEW)
    assert losses.val_loss.tolist() == pytest.approx(plain.val_loss.tolist(), abs=0.01)
    longer = TrainingConfig(**FEW.__dict__ | {"max_iters": 30})
    path = tmp_path / "last.pt"
    assert read_checkpoint(path)["scaler"]["scale"] > 1
    losses = train_at_scale(new_model(), *split(data), longer, **half, resume_from=path)
    assert losses.step.tolist() == [0, 10, 20, 30]


def test_a_float32_run_can_go_on_in_float16(data):
    """As when a run begun on a laptop moves to an older GPU."""
    config = TrainingConfig(batch_size=4, max_iters=20)
    saved = TrainingState(new_model(), config, torch.float32, seed=0).state_dict()
    state = TrainingState(new_model(), config, torch.float16, seed=0)
    state.load_state_dict(saved)
    assert state.scaler.is_enabled() and not saved["scaler"]


def test_what_a_killed_process_left_half_written_is_removed_and_nothing_else(run):
    run.folder.mkdir()
    ours, theirs = run.folder / ".last.pt.123.tmp", run.folder / ".notes.txt.123.tmp"
    ours.touch(), theirs.touch()
    run.begin()
    assert theirs.exists() and not ours.exists()


def test_without_a_good_checkpoint_the_run_is_refused(run, refused):
    run.begin()
    for name in ("last.pt", "previous.pt", "best.pt"):
        (run.folder / name).unlink()
        (run.folder / name).write_text("not a checkpoint")
    assert "no good checkpoint left" in refused("--resume")


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
        room_in(tmp_path),
    ):
        save_checkpoint(tmp_path, good, is_best=True)
    for name in ("last.pt", "best.pt"):
        assert same(read_checkpoint(tmp_path / name), good)
    assert not list(tmp_path.glob(".*.tmp"))


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
    assert "cannot be written (File too large): make room" in result.stderr
    assert "Traceback" not in result.stderr
    assert same(read_checkpoint(run.folder / "last.pt"), before)
    run("--resume", "--max-iters", "40")
    assert read_checkpoint(run.folder / "last.pt")["step"] == 40


# The scripts


def test_a_run_leaves_losses_in_the_ladders_format_and_says_how_it_went(run):
    printed = run.begin()
    losses = read_csv(run.folder / "losses.csv", COLUMNS)
    assert list(losses.columns) == COLUMNS and losses.step.tolist() == [0, 10, 20]
    about = json.loads((run.folder / "losses.json").read_text())
    assert about["seeds"] == [1337] and about["hyperparameters"]["max_iters"] == 20
    assert f"Validation loss {losses.val_loss.iloc[-1]:.4f} at step 20" in printed


def test_a_resumed_run_can_be_given_more_steps(run):
    run.begin()
    run("--resume", "--max-iters", "30")
    assert read_csv(run.folder / "losses.csv", COLUMNS).step.tolist() == [0, 10, 20, 30]


def test_a_sample_streams_the_same_characters_for_the_same_seed(run):
    run.begin()
    words = ["--prompt", "the ", "--characters", "40", "--top-k", "5", "--temperature", "0.8"]
    first, again = (run(*words, script=sample) for _ in range(2))
    assert first == again and first.startswith("the ") and len(first) == 4 + 40 + 1
    assert run(*words, "--seed", "1", script=sample) != first


def test_a_sample_comes_character_by_character(run):
    run.begin()
    command = [sys.executable, sample.__file__, "--run", str(run.folder), "--characters", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert len(process.stdout.read(20)) == 20  # while it is still writing
        assert process.poll() is None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(timeout=30) == 0


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


# Bad input


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


def test_a_lost_description_is_found_in_the_checkpoint(run, refused):
    run.begin()
    (run.folder / "losses.json").write_text("damaged")
    assert "holds a run already" in refused(begin=True)
    run("--resume", "--max-iters", "30")
    assert json.loads((run.folder / "losses.json").read_text())["preset"] == "small"


def test_files_of_somebody_else_are_not_written_over(run, refused):
    run.folder.mkdir()
    (run.folder / "last.pt").write_text("my notes")
    assert "no good checkpoint left" in refused(begin=True)
    assert (run.folder / "last.pt").read_text() == "my notes"


def test_a_refused_resume_leaves_the_tokens_as_they_were(run, refused, tmp_path, text):
    run.begin()
    before = (run.folder / "tokens.bin").read_bytes()
    other = tmp_path / "other.txt"
    other.write_text(text[::-1])
    refused("--resume", "--text", other, "--max-iters", "5")
    assert (run.folder / "tokens.bin").read_bytes() == before


def test_lost_tokens_are_asked_for_and_taken(run, refused, text_file):
    run.begin()
    for damage in (truncate, Path.unlink):
        damage(run.folder / "tokens.bin")
        assert "give the run's text again with --text" in refused("--resume")
        run("--resume", "--text", text_file)


def test_a_text_that_is_too_short_is_refused_and_a_longer_one_then_taken(run, refused, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("hello world")
    said = refused("--preset", "small", "--text", short)
    assert "A context of 32 needs at least 33 tokens in each split" in said
    run.begin()


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"shape": {"n_layer": 1}}', "[]"])
def test_a_folder_whose_description_is_foreign_is_refused(run, refused, content):
    run.folder.mkdir()
    (run.folder / "losses.json").write_text(content)
    assert "does not describe a run of this script" in refused("--resume")
    assert (run.folder / "losses.json").read_text() == content


def test_a_full_memory_is_told_in_one_sentence(refused, monkeypatch):
    def fail(*args, **more):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte")

    monkeypatch.setattr(train, "train_at_scale", fail)
    assert "memory of this cpu is full: raise --grad-accum-steps" in refused(begin=True)


@pytest.mark.parametrize(
    ("gigabytes", "way_out"),
    # The weights alone take 11 GB, a sequence 3.8: three would fit, and 512 / 256 = 2 do.
    [(3.0, "choose a smaller preset"), (25.0, "set --grad-accum-steps 256")],
)
def test_a_preset_that_does_not_fit_says_by_how_much_and_what_to_turn_down(
    refused, monkeypatch, gigabytes, way_out
):
    available = namedtuple("memory", "available")(gigabytes * 1e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    said = refused("--preset", "gpt2-774m")
    assert said.endswith(f"more than the {gigabytes} GB that are free here: {way_out}.")


WATCH_MEMORY = """
import threading, time

def own_memory():
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def watch():
    while True:
        peaks.append(own_memory())
        time.sleep(0.005)

peaks = []
threading.Thread(target=watch, daemon=True).start()
"""
MEASURE_STEPS = """
import torch
from dataclasses import replace
from lessons.gpt import GPT
from lessons.at_scale.memory import memory_needed
from lessons.presets import PRESETS
from lessons.at_scale.step import train_step
from lessons.at_scale.state import TrainingState

before, preset = own_memory(), PRESETS["gpu"]
config = replace(preset.training, batch_size=16, dropout=DROPOUT)
state = TrainingState(GPT(preset.shape, DROPOUT), config, torch.float32, seed=0)
for _ in range(2):
    train_step(state.model, state, torch.randint(65, (10_000,)))
print((max(peaks) - before) / memory_needed(preset.shape, 16, DROPOUT, state.device))
"""
MEASURE_RUN = """
import train
from lessons.at_scale import token_file

token_file.MAX_VAL_TOKENS = 10_000  # measuring more takes longer, and as much memory for any text
train.main()
print(max(peaks))
"""
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells it there")


@linux
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_memory_that_a_run_is_said_to_need_is_about_what_it_takes(dropout):
    code = WATCH_MEMORY + MEASURE_STEPS.replace("DROPOUT", str(dropout))
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert 0.75 < float(printed) < 1.25


@linux
def test_the_memory_of_a_run_does_not_grow_with_its_text(tmp_path, text):
    """With TEXT_MB=1000 set, by hand, the long text has a gigabyte: 3 GB of disk, and 20 s."""
    peaks, megabyte = [], text * (10**6 // len(text) + 1)
    for megabytes in (8, int(os.environ.get("TEXT_MB", "80"))):
        path = tmp_path / f"{megabytes}.txt"
        with open(path, "w") as file:
            file.writelines(megabyte for _ in range(megabytes))
        words = ["--preset", "small", "--max-iters", "1", "--text", str(path), "--out",
                 str(tmp_path / "run")]  # fmt: skip
        printed = subprocess.check_output(
            [sys.executable, "-c", WATCH_MEMORY + MEASURE_RUN, *words],
            text=True, stderr=subprocess.DEVNULL,
            env=with_helper_scripts(),
        )  # fmt: skip
        peaks.append(int(printed.splitlines()[-1]) / 1e6)
        shutil.rmtree(tmp_path / "run")
        path.unlink()
    print(peaks)  # shown when the test fails, or with -s
    assert peaks[1] < peaks[0] + 40


def test_dropout_raises_the_estimate_of_memory_on_a_cpu_alone():
    shape = PRESETS["gpu"].shape
    cpu, cuda = (
        [memory.memory_needed(shape, 64, dropout, torch.device(name)) for dropout in (0.0, 0.2)]
        for name in ("cpu", "cuda")
    )
    assert cuda == [cpu[0]] * 2 and cpu[1] > 1.5 * cpu[0]


def test_a_folder_with_another_run_is_refused(run, refused):
    run.begin()
    said = refused("--preset", "cpu", "--seed", "3")
    assert "holds a run already (preset small, seed 1337)" in said and "--out" in said


def test_resume_with_nothing_there_is_refused(refused):
    assert "holds no run to resume: leave out --resume" in refused("--resume")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "Name what to train with --preset"),
        (("--preset", "tiny"), "no preset 'tiny'"),
        (("--preset", "small", "--dtype", "float16"), "float16 needs a CUDA device"),
        (("--preset", "small", "--batch-size", "16", "--grad-accum-steps", "3"), "multiple of 3"),
        (("--preset", "small", "--device", "abacus"), "no device 'abacus'"),
        (("--preset", "small", "--max-iters", "0"), "max_iters is 0"),
        (("--preset", "small", "--seed", "-1"), "--seed -1 is not a number from 0"),
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


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--prompt", "the Fox"), "text has no 'F': leave it out of --prompt"),
        (("--temperature", "nan"), "--temperature nan is not a number"),
        (("--top-k", "0"), "temperature and top_k must be above 0"),
        (("--characters", "0"), "--characters must be at least 1"),
        (("--seed", str(10**30)), "--seed a number from 0"),
    ],
)
def test_a_sample_that_cannot_be_is_refused(run, refused, flags, sentence):
    run.begin()
    assert sentence in refused(*flags, script=sample)


def test_a_folder_without_a_run_cannot_be_sampled(refused, tmp_path):
    assert "holds no checkpoint" in refused(script=sample, out=tmp_path)


def test_ctrl_c_before_anything_is_saved_is_answered_too(refused, run, monkeypatch, capsys):
    def interrupt(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train_at_scale", interrupt)
    with pytest.raises(SystemExit) as end:
        run.begin()
    assert end.value.code == 130 and capsys.readouterr().err.endswith("Stopped.\n")


def test_two_processes_cannot_train_in_one_folder(run, refused):
    run.folder.mkdir()
    with FileLock(run.folder / ".lock"):
        assert "Another process is training" in refused(begin=True)


# Many processes


@contextmanager
def torchrun(
    folder: Path, text_file: Path, *words: str, script: str = train.__file__
) -> Iterator[subprocess.Popen]:
    """Two processes of train.py; whatever a test does, none of them outlives it."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
        *(script, "--preset", "small", "--text", str(text_file), "--out", str(folder)),
        *words,
    ]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=with_helper_scripts(), **pipes) as process:
        family = [psutil.Process(process.pid)]
        try:
            yield process
        finally:
            if process.poll() is None:
                family += family[0].children(recursive=True)
                for member in family:
                    member.kill()


def wait_for_a_checkpoint(process: subprocess.Popen, folder: Path) -> None:
    begun = time.monotonic()
    while not (folder / "last.pt").exists():
        time.sleep(0.1)
        assert process.poll() is None and time.monotonic() - begun < 60


gloo = pytest.mark.skipif(sys.platform == "win32", reason="torchrun wants a Unix here")


@gloo
def test_two_processes_with_half_the_batch_each_give_the_losses_of_one(run, tmp_path, text_file):
    words = ["--max-iters", "50", "--eval-interval", "5"]
    with torchrun(tmp_path / "two", text_file, *words) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    run("--preset", "small", "--text", text_file, *words)
    one, two = (read_checkpoint(f / "last.pt")["rows"] for f in (run.folder, tmp_path / "two"))
    assert len(one) == 11
    for row, other in zip(one, two, strict=True):
        assert row[:3] == pytest.approx(other[:3], abs=1e-5)
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in run.folder.iterdir()}  # rank 1 wrote nothing
    assert json.loads((tmp_path / "two" / "losses.json").read_text())["processes"] == 2


# train.py with a compiler that only counts, and that fails in some process when asked or used.
COUNTED = """
import os, torch, train
compile, graphs = torch.compile, []

def fail(when):
    if (os.environ["RANK"], when) == FAILING:
        raise RuntimeError("no compiler in this one")

def backend(graph, inputs):
    fail("used")
    graphs.append(graph)
    return graph.forward

def asked(model):
    fail("asked")
    return compile(model, backend=backend)

torch.compile = asked
train.main()
print(len(graphs), "compiled")
"""


@gloo
@pytest.mark.parametrize(
    ("failing", "n_compiled"),
    [((), [1, 1]), (("1", "used"), [0, 1]), (("1", "asked"), [0, 0])],
)
def test_processes_compile_together_or_not_at_all(run, tmp_path, text_file, failing, n_compiled):
    words = ["--max-iters", "20", "--eval-interval", "10"]
    script = tmp_path / "counted.py"
    script.write_text(COUNTED.replace("FAILING", str(failing)))
    with torchrun(tmp_path / "two", text_file, *words, "--compile", script=str(script)) as process:
        printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert sorted(int(n) for n in re.findall(r"(\d) compiled", printed)) == n_compiled
    assert errors.count("Not compiled") == (1 if failing else 0)
    run("--preset", "small", "--text", text_file, *words)
    one, two = (read_checkpoint(f / "last.pt")["rows"] for f in (run.folder, tmp_path / "two"))
    for row, other in zip(one, two, strict=True):
        assert row[:3] == pytest.approx(other[:3], abs=1e-5)


@gloo
def test_a_stopped_run_of_two_processes_says_once_how_to_go_on(tmp_path, text_file):
    folder = tmp_path / "run"
    with torchrun(folder, text_file, "--max-iters", "1000000") as process:
        wait_for_a_checkpoint(process, folder)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert errors.count("which is saved: the same command with --resume") == 1


@gloo
def test_a_process_that_dies_ends_the_run_with_a_sentence(tmp_path, text_file):
    folder = tmp_path / "run"
    with torchrun(folder, text_file, "--max-iters", "1000000") as process:
        wait_for_a_checkpoint(process, folder)
        workers = psutil.Process(process.pid).children()
        worker = next(w for w in workers if w.environ().get("RANK") == "1")
        worker.kill()
        begun = time.monotonic()
        _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert process.returncode != 0
    assert "has died or cannot be reached, so process 0 of 2 stopped too: start the run" in errors
    assert not any(w.is_running() for w in workers)
    assert read_checkpoint(folder / "last.pt")
