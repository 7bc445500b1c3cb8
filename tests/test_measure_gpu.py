"""helper_scripts/measure_gpu.py at toy size, and bench_scaling.py, on a CPU."""

import json
import math
import re
import subprocess
import sys

import pandas as pd
import pytest
import torch

import bench_scaling
import measure_gpu
from lessons.losses import COLUMNS, read_csv


@pytest.fixture
def gpu(monkeypatch, capsys):
    """measure_gpu's main, on a machine without a GPU; returns what it printed."""

    def main(*words) -> str:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(sys, "argv", ["measure_gpu.py", *map(str, words)])
        measure_gpu.main()
        return capsys.readouterr().out

    return main


def test_the_toy_leaves_all_that_the_real_one_does(gpu, tmp_path):
    printed = gpu("--toy", "--out", tmp_path, "--seeds", 0, 1)
    speed = pd.read_csv(tmp_path / "gpu_speed.csv")
    assert speed.way.tolist() == ["eager", "SDPA", "bf16", "compile"]
    assert (speed.tokens_per_second > 0).all()
    losses = read_csv(tmp_path / "losses" / "08_scaled_up.csv")
    assert list(losses.columns) == COLUMNS
    assert losses.groupby("seed").step.apply(list).tolist() == [[0, 10, 20]] * 2
    about = json.loads((tmp_path / "losses" / "08_scaled_up.json").read_text())
    assert about["seeds"] == [0, 1] and about["hyperparameters"]["training"]["max_iters"] == 20
    assert "seed 1: best" in printed and "1.48 reached: never" in printed


def test_seeds_that_no_longer_fit_are_left_out_and_said_to_be(gpu, tmp_path):
    printed = gpu("--toy", "--out", tmp_path, "--seeds", 0, 1, "--minutes", 0)
    assert "No time left for seed 1," in printed
    assert not (tmp_path / "losses").exists()


def test_a_second_time_measures_what_is_missing(gpu, tmp_path):
    gpu("--toy", "--out", tmp_path, "--seeds", 0)
    printed = gpu("--toy", "--out", tmp_path, "--seeds", 0, 1)
    assert "seed 1: best" in printed and "seed 0" not in printed


@pytest.mark.parametrize(
    ("words", "sentence"), [([], "there is none"), (["--toy"], "name a folder for it with --out")]
)
def test_without_a_gpu_it_says_so_and_leaves_the_data_alone(gpu, capsys, words, sentence):
    with pytest.raises(SystemExit) as end:
        gpu(*words)
    assert end.value.code == 2 and sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L40S", math.nan),
        ("Tesla T4", 65e12),
    ],
)
def test_a_gpus_peak_is_known_by_its_name(monkeypatch, name, peak):
    monkeypatch.setattr(measure_gpu, "device_name", lambda device: name)
    found = measure_gpu.peak_flops(torch.device("cuda"))
    assert found == peak or math.isnan(found) and math.isnan(peak)


def test_three_loops_are_timed_in_one_run_with_their_ratio():
    words = ["--presets", "small", "--steps", "1", "--rounds", "1", "--device", "cpu"]
    printed = subprocess.check_output([sys.executable, bench_scaling.__file__, *words], text=True)
    ratios = dict(re.findall(r"^(.{20}).*?([\d.]+)x", printed, re.MULTILINE))
    names = [name.strip() for name in ratios]
    assert names == ["lecture's script", "lesson 1's loop", "scaled, float32"]
    assert list(ratios.values())[1] == "1.00"
