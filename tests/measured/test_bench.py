import re
import subprocess
import sys

import lecture
import rungs as bench_ladder
from lessons.ladder import build_model
from lessons.multi_head import CausalSelfAttention, MultiHeadAttention

import pytest
import torch


def test_the_lecture_model_has_the_same_parameters_in_lists_of_heads():
    ours = build_model(bench_ladder.LESSON_1[-1], 65, seed=0)
    theirs = lecture.lecture_model(bench_ladder.LESSON_1[-1], 65)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    assert sizes[0] == sizes[1]
    kinds = {type(module) for module in theirs.modules()}
    assert MultiHeadAttention in kinds and CausalSelfAttention not in kinds


def test_the_lecture_batch_has_its_targets_shifted_by_one():
    x, y = lecture.lecture_batch(torch.arange(50), 4, 8)
    assert x.shape == (4, 8) and torch.equal(y, x + 1)


@pytest.mark.slow
def test_both_ways_are_timed_in_one_run_with_their_ratio():
    words = ["--rungs", "bigram", "--steps", "2", "--rounds", "1"]
    command = [sys.executable, bench_ladder.__file__, *words]
    printed = subprocess.check_output(command, text=True)
    row = next(line for line in printed.splitlines() if line.startswith("bigram"))
    assert len(re.findall(r"[\d.]+x", row)) == 2
