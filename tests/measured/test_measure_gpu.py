"""helper_scripts/measure/gpu.py at toy size, and bench/presets.py, on a CPU."""

import json
import math
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO

import gpu as measure_gpu
import presets as bench_scaling
import readme as readme_table
from lessons.about import About
from lessons.at_scale import throughput
from lessons.course import gpu_report
from lessons.errors import BadInput
from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from lessons.ladder import run_rung
from lessons.records import LOSSES_DIR
from lessons.results import lowest_losses

import pandas as pd
import pytest
import torch


@pytest.fixture(scope="module")
def gpu():
    """measure_gpu's main, on a machine without a GPU; returns what it printed."""

    def main(*words) -> str:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as printed:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            patch.setattr(sys, "argv", ["gpu.py", *map(str, words)])
            measure_gpu.main()
        return printed.getvalue()

    return main


@pytest.fixture(scope="module")
def out_of_time(gpu, tmp_path_factory):
    """A folder in which the first ways alone are measured, and what was printed meanwhile."""
    folder = tmp_path_factory.mktemp("out_of_time")
    return folder, gpu("--toy", "--out", folder, "--seeds", 0, 1, "--minutes", 0)


@pytest.fixture
def speeds_on_record(out_of_time, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(out_of_time[0], tmp_path / "data")


def speeds(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "experiments" / "gpu_speed.csv")


@pytest.mark.slow
def test_the_toy_leaves_all_that_the_real_one_does(gpu, tmp_path):
    printed = gpu("--toy", "--out", tmp_path, "--seeds", 0, 1)
    speed = speeds(tmp_path)
    assert speed.columns.tolist() == [
        *("way", "added", "dtype", "tokens_per_second", "mfu", "peak_memory_gb")
    ]
    assert speed.way.tolist()[:3] == ["eager", "SDPA", "bf16"]
    compiled = "compile is not measured (it cannot be compiled here)" not in printed
    assert (speed.way.tolist()[3:] == ["compile"]) == compiled
    assert (speed.tokens_per_second > 0).all()
    losses = read_csv(tmp_path / "losses" / "08_scaled_up.csv", COLUMNS)
    assert list(losses.columns) == COLUMNS
    assert losses.groupby("seed").step.apply(list).tolist() == [[0, 10, 20]] * 2
    about = json.loads((tmp_path / "losses" / "08_scaled_up.json").read_text())
    assert about["seeds"] == [0, 1] and about["hyperparameters"]["training"]["max_iters"] == 20
    assert about["dtype"] == "float32"
    assert "seed 1: lowest" in printed and "eager: " in printed
    lowest = lowest_losses(losses).val_loss.mean()
    assert f"lowest validation loss {lowest:.3f}" in gpu_report.gpu_report(tmp_path)


def test_what_no_longer_fits_is_left_out_and_said_to_be(out_of_time):
    folder, printed = out_of_time
    assert "No time left for seed 1," in printed and "No time left for compile" in printed
    assert not (folder / "losses").exists()
    assert speeds(folder).way.tolist() == ["eager", "SDPA", "bf16"]


@pytest.mark.slow
def test_a_second_time_measures_what_is_missing_and_with_force_all(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(measure_gpu, "COMPILE_SECONDS", math.inf)  # it would take most of the time
    words = ["--toy", "--out", tmp_path, "--minutes", 10, "--seeds"]
    gpu(*words, 0)
    rows = speeds(tmp_path)
    rows[rows.way != "SDPA"].to_csv(tmp_path / "experiments" / "gpu_speed.csv", index=False)
    printed = gpu(*words, 0, 1)
    assert "seed 1: lowest" in printed and "seed 0:" not in printed
    assert "SDPA: " in printed and "eager: " not in printed
    assert "On record already: eager, bf16, seed 0." in printed
    assert speeds(tmp_path).way.tolist() == ["eager", "SDPA", "bf16"]
    printed = gpu(*words, 0, "--force")
    assert "seed 0: lowest" in printed and "eager: " in printed
    assert set(read_csv(tmp_path / "losses" / "08_scaled_up.csv", COLUMNS).seed) == {0, 1}


@pytest.mark.slow
def test_with_force_other_seeds_of_another_machine_are_not_dropped(gpu, capsys, tmp_path):
    gpu("--toy", "--out", tmp_path, "--minutes", 0.5, "--seeds", 0, 1)
    path = tmp_path / "losses" / "08_scaled_up.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "another"}))
    with pytest.raises(SystemExit):
        gpu("--toy", "--out", tmp_path, "--seeds", 0, "--force")
    assert "measured on another machine" in capsys.readouterr().err
    assert set(read_csv(path.with_suffix(".csv"), COLUMNS).seed) == {0, 1}


@pytest.mark.slow
def test_a_seed_that_diverges_does_not_stop_the_others(gpu, tmp_path, monkeypatch):
    def diverge(rung, text, seed, device):
        if seed == 0:
            raise BadInput("The loss became nan at step 3.")
        return run_rung(rung, text, seed, device)

    monkeypatch.setattr(measure_gpu, "run_rung", diverge)
    printed = gpu("--toy", "--out", tmp_path, "--minutes", 0.5, "--seeds", 0, 1)
    assert "seed 0 is not measured (The loss became nan at step 3.)" in printed
    assert "seed 1: lowest" in printed


@pytest.mark.parametrize("complete", [False, True])
def test_ways_measured_on_another_device_are_neither_counted_nor_mixed_nor_lost(
    gpu, speeds_on_record, capsys, complete
):
    path = speeds_on_record / "experiments" / "gpu_speed.json"
    before = speeds(speeds_on_record)
    if complete:
        before.loc[3] = before.loc[2].replace({"bf16": "compile", 2: 3})
        before.to_csv(path.with_suffix(".csv"), index=False)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "another"}))
    with pytest.raises(SystemExit):
        gpu("--toy", "--out", speeds_on_record, "--minutes", 0)
    assert "gpu_speed.csv was measured on another machine" in capsys.readouterr().err
    pd.testing.assert_frame_equal(speeds(speeds_on_record), before)


@pytest.mark.parametrize("content", ["", "way,dtype\n", "\x00"])
def test_a_speed_file_that_is_none_gets_a_sentence(speeds_on_record, content):
    (speeds_on_record / "experiments" / "gpu_speed.csv").write_text(content)
    with pytest.raises(BadInput, match="gpu_speed.csv (is not a CSV file|has no column)"):
        gpu_report.gpu_report(speeds_on_record)


def test_ways_that_fail_do_not_keep_the_seeds_from_training(gpu, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("no kernel for this device\nand much more")

    monkeypatch.setattr(measure_gpu, "throughput", fail)
    printed = gpu("--toy", "--out", tmp_path, "--seeds", 0)
    assert "eager is not measured (no kernel for this device)." in printed
    assert "seed 0: lowest" in printed and not (tmp_path / "experiments").exists()


def made_up(*lowest: float) -> pd.DataFrame:
    """Losses of one seed for each lowest loss, which it has in the second of three rows."""
    rows = [
        (seed, step, 1.0, val_loss, step / 10)
        for seed, low in enumerate(lowest)
        for step, val_loss in ((0, 4.2), (100, low), (200, 1.6))
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(
    ("lowest", "reached"),
    [
        ([1.47, 1.45], "after 10 s;"),
        ([1.47, 1.49], "after 10 s, by 1 of them;"),
        ([1.5], "by none"),
    ],
)
def test_the_report_tells_the_lowest_loss_and_when_the_target_was_reached(lowest, reached):
    said = gpu_report.losses_sentence(made_up(*lowest))
    assert f"loss {sum(lowest) / len(lowest):.3f}" in said and "at step 100;" in said
    assert f"1.48 was reached {reached}" in said and "step 200, 1.600." in said
    assert ("one seed" in said) == (len(lowest) == 1)


def test_a_seed_that_diverged_shows_in_the_report():
    said = gpu_report.losses_sentence(made_up(1.47, math.nan))
    assert "lowest validation loss nan" in said


def test_the_report_has_a_row_for_each_way(tmp_path):
    rows = [("eager", "float32", 1_000_000, 0.07, 5.25), ("SDPA", "float32", 2_000_000, None, None)]
    speed = pd.DataFrame(rows, columns=gpu_report.SPEED_COLUMNS)
    said = gpu_report.speed_table(speed, About(device="GPU", torch="2.10"))
    assert "| eager | float32 | 1,000,000 | 7% | 5.2 GB |" in said
    assert "| + SDPA | float32 | 2,000,000 | ? | ? |" in said and "on GPU, torch 2.10;" in said


def test_without_a_measurement_the_report_says_so(tmp_path):
    assert "no GPU was at hand" in gpu_report.gpu_report(tmp_path)


def test_the_readmes_table_has_a_row_for_the_scaled_up_rung_once_it_is_measured(tmp_path):
    for path in LOSSES_DIR.glob("*.*"):
        shutil.copy(path, tmp_path)
    made_up(1.47, 1.45).to_csv(tmp_path / "08_scaled_up.csv", index=False)
    about = json.loads((LOSSES_DIR / "08_small_gpt.json").read_text())
    about |= {"device": "GPU", "dtype": "bfloat16", "seeds_side_by_side": 1, "torch": "2.11"}
    (tmp_path / "08_scaled_up.json").write_text(json.dumps(about))
    table = readme_table.ladder_table(tmp_path)
    assert "| 1.460 ± 0.014 | | 1.47 | 20 |" in table
    assert "; scaled up: 2 seeds, in bfloat16 on an GPU, torch 2.11. " in table
    assert table.endswith(
        "For scaled up it is the lowest of a run, from nanoGPT's README, and so is ours."
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is none"),
        (["--toy"], "name a folder for it with --out"),
        (["--minutes", "nan"], "'nan' is not a number from 0 to 10,000"),
    ],
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
    monkeypatch.setattr(throughput, "device_name", lambda device: name)
    found = throughput.peak_flops(torch.device("cuda"))
    assert found == peak or math.isnan(found) and math.isnan(peak)


@pytest.mark.slow
def test_three_loops_are_timed_in_one_run_with_their_ratio():
    words = ["--presets", "small", "--steps", "1", "--rounds", "1", "--device", "cpu"]
    printed = subprocess.check_output([sys.executable, bench_scaling.__file__, *words], text=True)
    ratios = dict(re.findall(r"^(.{20}).*?([\d.]+)x", printed, re.MULTILINE))
    names = [name.strip() for name in ratios]
    assert names == ["lecture's script", "lesson 1's loop", "scaled, float32"]
    assert list(ratios.values())[1] == "1.00"
