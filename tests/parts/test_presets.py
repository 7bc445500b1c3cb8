"""Shapes and settings that have a name."""

import math
from dataclasses import fields, replace

from lessons.errors import BadInput
from lessons.gpt import GPT, parameter_count
from lessons.presets import PRESETS, TRAINING_RANGES, TrainingConfig, find_preset

import pytest
import torch

# Hugging Face's gpt2, gpt2-medium, gpt2-large and gpt2-xl have as many.
GPT2_PARAMETERS = {
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1558m": 1_557_611_200,
}


def parameters_of(preset: str) -> int:
    with torch.device("meta"):
        return parameter_count(GPT(PRESETS[preset].shape))


@pytest.mark.parametrize("n_processes", [1, 2, 4, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_presets_batch_can_be_shared_by_the_usual_numbers_of_processes(preset, n_processes):
    if preset == "cpu" and n_processes == 8:
        pytest.skip("12 sequences are for a laptop")
    assert PRESETS[preset].training.batch_size % n_processes == 0


@pytest.mark.parametrize("preset", GPT2_PARAMETERS)
def test_the_gpt2_shapes_have_as_many_parameters_as_gpt2(preset):
    assert parameters_of(preset) == GPT2_PARAMETERS[preset]


def test_a_preset_with_other_training_has_the_same_shape():
    changed = PRESETS["small"].with_training(max_iters=7, dropout=0.5)
    assert changed.shape == PRESETS["small"].shape and changed.max_iters == 7
    kept = {"max_iters": 5000, "dropout": 0.0}
    assert replace(changed.training, **kept) == PRESETS["small"].training


def test_the_small_preset_has_the_parameters_of_the_lecture():
    assert parameters_of("small") == 209_729


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(BadInput, match="no preset 'medium'.*small, cpu, gpu, gpt2-124m"):
        find_preset("medium")


@pytest.mark.parametrize(
    ("name", "value", "range"),
    [
        ("batch_size", 0, "a whole number from 1 to 1,000,000"),
        ("batch_size", 4.5, "a whole number from 1 to 1,000,000"),
        ("max_iters", -5, "a whole number from 1 to 1,000,000,000"),
        ("warmup_iters", -1, "a whole number from 0 to 1,000,000,000"),
        ("dropout", 1.0, "a number from 0 to below 1"),
        ("weight_decay", -0.1, "a finite number from 0"),
        ("learning_rate", math.nan, "a finite number above 0"),
        ("learning_rate", 10**400, "a finite number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_what_can_be(name, value, range):
    with pytest.raises(BadInput, match=f"^{name} is .*: it must be {range}.$"):
        TrainingConfig(**{"batch_size": 4, "max_iters": 10} | {name: value})


def test_every_setting_has_a_range_and_those_that_may_be_0_may():
    assert TRAINING_RANGES.keys() == {field.name for field in fields(TrainingConfig)}
    TrainingConfig(4, 10, warmup_iters=0, weight_decay=0, dropout=0)
