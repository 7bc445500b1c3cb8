"""What the doctor tries out with torch."""

import json

from lessons.at_scale import trial
from lessons.at_scale.memory import memory_needed
from lessons.at_scale.trial import agreement_row, losses_on, presets_row, report
from lessons.presets import PRESETS

import pytest
import torch

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("gb", "found", "verdict"),
    [
        (0.001, "none in 0.0 GB", "note: close other programs"),
        (1, "small, cpu in 1.0 GB", "note: with --grad-accum-steps gpu too"),
        (16, "small, cpu, gpu in 16.0 GB", "note: with --grad-accum-steps gpt2-124m, gpt2-355m"),
        (10_000, ", ".join(PRESETS), "ok"),
    ],
)
def test_the_presets_are_those_that_fit_the_free_memory(monkeypatch, gb, found, verdict):
    monkeypatch.setattr(trial, "memory_free", lambda device: gb * 1e9)
    row = presets_row(CPU)
    assert row[1].startswith(found) and row[2].startswith(verdict), row


def test_a_preset_fits_with_its_dropout_and_down_to_one_sequence_at_once(monkeypatch):
    for name, n_at_once in (("gpu", 64), ("gpt2-1558m", 1)):
        shape, dropout = PRESETS[name].shape, PRESETS[name].training.dropout
        enough = memory_needed(shape, n_at_once, dropout, CPU)
        for free, fits in ((enough, True), (enough - 1, False)):
            monkeypatch.setattr(trial, "memory_free", lambda device, free=free: free)
            _, whole, split = presets_row(CPU)
            assert (name in (whole if n_at_once > 1 else split)) == fits, name


def test_a_device_that_computes_the_same_is_right():
    assert agreement_row(CPU)[2] == "ok"
    assert losses_on(CPU)[-1] < losses_on(CPU)[0] - 0.1


def test_a_device_that_computes_something_else_is_named(monkeypatch):
    right = losses_on(CPU)
    wrong = iter([right + torch.tensor([0.0] * 19 + [0.3]), right])
    monkeypatch.setattr(trial, "losses_on", lambda device: next(wrong))
    name, found, verdict = agreement_row(torch.device("mps"))
    assert (name, found) == ("MPS check", "20 steps on mps differ from the CPU's by 0.3")
    assert "--device cpu" in verdict


def test_mps_is_compared_where_there_is_one_and_the_states_of_chance_stay(monkeypatch):
    before = torch.get_rng_state()
    assert len(json.loads(report())) == 1 + torch.backends.mps.is_available()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(trial, "agreement_row", lambda device: [device.type])
    assert json.loads(report())[1] == ["mps"]
    assert torch.equal(torch.get_rng_state(), before)
