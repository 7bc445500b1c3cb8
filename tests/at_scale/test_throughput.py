"""What is made of a count of steps and a clock."""

import math

from lessons.at_scale import throughput as module
from lessons.at_scale.throughput import WAYS, throughput
from lessons.gpt import GPT, flops_per_token
from lessons.presets import Preset, TrainingConfig
from tiny_runs import TINY

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

CPU = torch.device("cpu")


@pytest.fixture
def steps(monkeypatch, data):
    """Steps that take half a second each, by the clock; returns those taken so far."""
    taken, train_step = [], module.train_step

    def step(fast, state, tokens):
        taken.append((state.config.dropout, state.dtype, module.torch.is_grad_enabled()))
        if len(taken) == 1:
            train_step(fast, state, tokens)

    monkeypatch.setattr(module, "train_step", step)
    monkeypatch.setattr(module.time, "perf_counter", lambda: len(taken) / 2)
    monkeypatch.setattr(module, "peak_flops", lambda device: 1e6)
    return taken


def test_a_rate_counts_the_tokens_of_the_steps_after_the_first_few(steps, data):
    preset = Preset(TINY, TrainingConfig(batch_size=4, max_iters=9))
    row = throughput(WAYS[1], preset, data, CPU, seconds=12)
    # The clock is read every ten steps, after 5, 10 and 15 seconds; five are a warm-up.
    assert len(steps) == 5 + 30
    assert row["tokens_per_second"] == 2 * 4 * 8
    assert row["mfu"] == pytest.approx(2 * 4 * 8 * flops_per_token(GPT(TINY)) / 1e6)
    assert (row["way"], row["added"], row["dtype"]) == ("SDPA", 1, "float32")
    assert math.isnan(row["peak_memory_gb"])


@pytest.mark.parametrize("way", WAYS[:3], ids=lambda way: way.name)
def test_each_way_is_what_its_name_says(steps, data, way, monkeypatch):
    monkeypatch.setattr(module, "pick_dtype", lambda device, n_embd: torch.bfloat16)
    entered = []
    monkeypatch.setattr(
        module, "sdpa_kernel", lambda kind: entered.append(kind) or sdpa_kernel(kind)
    )
    preset = Preset(TINY, TrainingConfig(batch_size=4, max_iters=9))
    row = throughput(way, preset, data, CPU, seconds=1)
    assert row["way"] == way.name and row["added"] == WAYS.index(way)
    assert row["dtype"] == ("bfloat16" if way.half else "float32")
    assert entered == ([] if way.fused_attention else [SDPBackend.MATH])


def test_what_cannot_be_compiled_has_no_rate(steps, data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        module, "compiled", lambda model, idx, dtype: seen.append(tuple(idx.shape)) or model
    )
    preset = Preset(TINY, TrainingConfig(batch_size=4, max_iters=9))
    with pytest.raises(RuntimeError, match="cannot be compiled here"):
        throughput(WAYS[3], preset, data, CPU, seconds=1)
    assert seen == [(4, 8)] and not steps
