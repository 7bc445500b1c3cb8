"""How much memory a run takes: what is said, and what is true."""

import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import train
from lessons.at_scale import memory
from lessons.errors import BadInput
from lessons.gpt import GPT, GPTConfig, parameter_count
from lessons.presets import PRESETS, TrainingConfig
from tiny_runs import with_helper_scripts

import psutil
import pytest
import torch


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


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_counted_without_building_the_model(name):
    shape = PRESETS[name].shape
    with torch.device("meta"):
        assert memory.parameters(shape) == parameter_count(GPT(shape))
    endless = replace(shape, n_layer=10**12, block_size=10**12, n_embd=shape.n_head * 10**12)
    assert memory.parameters(endless) > 12 * 10**36


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (("--batch-size", "1000000"), "set --grad-accum-steps 160."),
        (("--batch-size", "999983"), "lower --batch-size."),  # a prime number
        (("--batch-size", "1000000", "--grad-accum-steps", "500000"), None),
        (("--batch-size", "1000000000"), "not a whole number from 1 to 1,000,000"),
    ],
)
def test_a_huge_batch_is_refused_at_once(run, refused, monkeypatch, words, way_out):
    available = namedtuple("memory", "available")(6e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: available)
    begun = time.perf_counter()
    if way_out is None:
        monkeypatch.setattr(train, "train_at_scale", None)  # where it would now begin
        with pytest.raises(TypeError):
            run.begin(*words)
    else:
        assert way_out in refused(*words, begin=True)
    assert time.perf_counter() - begun < 30


def test_dropout_raises_the_estimate_of_memory_on_a_cpu_alone():
    shape = PRESETS["gpu"].shape
    cpu, cuda = (
        [memory.memory_needed(shape, 64, dropout, torch.device(name)) for dropout in (0.0, 0.2)]
        for name in ("cpu", "cuda")
    )
    assert cuda == [cpu[0]] * 2 and cpu[1] > 1.5 * cpu[0]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("n_layer", [2, 4])
def test_the_estimate_is_a_little_more_than_what_is_kept_for_the_backward_pass(dropout, n_layer):
    shape, batch_size, cpu = GPTConfig(65, 64, n_layer, 4, 64), 4, torch.device("cpu")
    model, kept = GPT(shape, dropout), {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    idx = torch.randint(65, (batch_size, 64))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(idx, idx)
    needed, empty = (memory.memory_needed(shape, n, dropout, cpu) for n in (batch_size, 0))
    # Each weight, its gradient and AdamW's two means, of four bytes each.
    assert empty == 16 * sum(p.numel() for p in model.parameters())
    total = sum(size for address, (size, _) in kept.items() if address not in weights)
    assert 0.7 < total / (needed - empty) < 1


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


@pytest.mark.slow
@linux
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_memory_that_a_run_is_said_to_need_is_about_what_it_takes(dropout):
    code = WATCH_MEMORY + MEASURE_STEPS.replace("DROPOUT", str(dropout))
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert 0.75 < float(printed) < 1.25


@pytest.mark.slow
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


CPU, CUDA, TINY = torch.device("cpu"), torch.device("cuda"), PRESETS["small"].shape


def way_out(monkeypatch, free: float, config: TrainingConfig, processes=1, device=CPU) -> str:
    """What `check_memory` says if this much is free; nothing if the run fits."""
    monkeypatch.setattr(memory, "memory_free", lambda device: free)
    try:
        memory.check_memory("small", TINY, config, processes, device)
    except BadInput as problem:
        return str(problem)
    return ""


def needed(n_at_once: int, n_drawn: int, dropout: float = 0.0) -> int:
    """Bytes of a process that draws a batch, in int64 three times, and trains on a part of it."""
    return memory.memory_needed(TINY, n_at_once, dropout, CPU) + 24 * TINY.block_size * n_drawn


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_processes_share_the_memory_of_a_cpu_and_have_a_gpu_each(monkeypatch, dropout):
    config = TrainingConfig(batch_size=16, max_iters=1, dropout=dropout)
    one = needed(4, 16, dropout)
    assert not way_out(monkeypatch, 4 * one, config, processes=4)
    assert way_out(monkeypatch, 4 * one - 1, config, processes=4)
    if not dropout:
        assert not way_out(monkeypatch, one, config, processes=4, device=CUDA)
        assert way_out(monkeypatch, one - 1, config, processes=4, device=CUDA)


def test_a_smaller_batch_is_advised_where_a_single_sequence_fits_and_nowhere_else(monkeypatch):
    config = TrainingConfig(batch_size=999_983, max_iters=1)  # a prime number cannot be cut
    assert way_out(monkeypatch, needed(1, 1), config).endswith(": lower --batch-size.")
    assert way_out(monkeypatch, needed(1, 1) - 1, config).endswith(": choose a smaller preset.")


def test_a_run_that_does_not_fit_is_told_how_much_it_needs_and_lacks(monkeypatch):
    config = TrainingConfig(batch_size=4096, max_iters=1)
    free = needed(4096, 4096) - 1.5e9
    said = way_out(monkeypatch, free, config)
    assert f"needs about {free / 1e9 + 1.5:.1f} GB of memory, 1.5 GB more than the " in said


def test_the_logits_of_a_large_vocabulary_and_their_gradients_are_counted():
    tokens, more = 16 * TINY.block_size, replace(TINY, vocab_size=50_000)
    for_each = (memory.memory_needed(more, n, 0.0, CPU) - memory.memory_needed(TINY, n, 0.0, CPU)
                for n in (16, 0))  # fmt: skip
    whole, weights = for_each
    assert whole - weights >= 2 * 4 * tokens * (50_000 - TINY.vocab_size)


def test_divisors_are_all_that_divide():
    for n in range(1, 200):
        assert memory.divisors(n) == [d for d in range(1, n + 1) if n % d == 0]
