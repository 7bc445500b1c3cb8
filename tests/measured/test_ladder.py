import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import ladder as run_ladder
from lessons import files
from lessons.corpus import TINY_SHAKESPEARE_SHA256
from lessons.device import pick_device
from lessons.errors import BadInput
from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from lessons.gpt import parameter_count
from lessons.ladder import RUNGS, SCALED_UP, Rung, build_model, find_rungs, run_rung
from lessons.records import EXPERIMENTS_DIR, LOSSES_DIR, Record, read_losses, rung_record
from lessons.results import final_losses, summary
from made_up import losses_of

import pandas as pd
import pytest
import torch

SCRIPT = Path(run_ladder.__file__)
# Mean final validation loss over five seeds that each rung must reach on Tiny Shakespeare.
LIMITS = (2.49, 2.41, 2.29, 2.26, 2.09, 2.07, 2.07, 1.82)
GOALS = dict(zip((r.stem for r in RUNGS), LIMITS, strict=True))


@pytest.fixture
def command(tmp_path, text_file):
    """The script on a small text, writing to a folder of its own."""
    return [sys.executable, str(SCRIPT), "--text", str(text_file), "--out", str(tmp_path / "out")]


def short(rung: Rung) -> Rung:
    return rung.shortened(max_iters=4, eval_interval=2)


def test_rungs_are_found_by_number_name_and_stem_in_ladder_order():
    found = find_rungs(["pre_norm", "2", "01_bigram"])
    assert [r.number for r in found] == [1, 2, 7]


def test_an_unknown_rung_lists_the_rungs():
    with pytest.raises(BadInput, match="no rung 'trigram'.*1 bigram, 2 single_head.*7 pre_norm"):
        find_rungs(["bigram", "trigram"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_refused():
    with pytest.raises(BadInput, match="no device 'cuda'"):
        pick_device("cuda")


def test_the_device_is_the_cpu_unless_there_is_cuda():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(BadInput, match="no device 'abacus'"):
        pick_device("abacus")


def test_seeds_are_kept_side_by_side_and_replaced_when_measured_again(tmp_path, text):
    rung = short(RUNGS[1])
    record = rung_record(tmp_path, rung, text)
    assert record.measured() == set()
    for seed in (3, 1):
        record.add(losses_of(rung, seed), {"torch": "x"})
    assert rung_record(tmp_path, rung, text).measured() == {1, 3}
    table = read_csv(record.csv, COLUMNS)
    assert list(table.columns) == COLUMNS and table.seed.tolist() == [1, 1, 1, 3, 3, 3]
    record.add(losses_of(rung, 3).assign(val_loss=9.0), {"torch": "x"})
    finals = final_losses(read_csv(record.csv, COLUMNS)).set_index("seed").val_loss
    assert finals.to_dict() == {1: 2.9, 3: 9.0}
    about = json.loads(record.json.read_text())
    assert about["seeds"] == [1, 3] and about["hyperparameters"]["max_iters"] == 4


def die_after(writes: int, monkeypatch) -> None:
    """From now on `write_whole` works so many times, then is cut off."""
    left = iter(range(writes))

    def write(path, content, write_whole=files.write_whole):
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_whole(path, content)

    monkeypatch.setattr(files, "write_whole", write)


@pytest.mark.parametrize("writes", [0, 1])
def test_a_kill_while_writing_loses_only_the_seed_in_hand(tmp_path, text, monkeypatch, writes):
    rung = short(RUNGS[1])
    record = rung_record(tmp_path, rung, text)
    record.add(losses_of(rung, 0), {})
    die_after(writes, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        record.add(losses_of(rung, 1), {})
    monkeypatch.undo()
    assert record.measured() == {0}
    record.add(losses_of(rung, 1), {})
    assert record.measured() == {0, 1}


def test_losses_of_another_text_or_other_hyperparameters_are_not_mixed(tmp_path, text, monkeypatch):
    rung = short(RUNGS[1])
    rung_record(tmp_path, rung, text).add(losses_of(rung, 0), {})
    longer = rung.shortened(max_iters=8)
    for other in (rung_record(tmp_path, rung, text + "!"), rung_record(tmp_path, longer, text)):
        with pytest.raises(BadInput, match="02_single_head.csv was measured with other"):
            other.measured()
    # Only --force comes here: what cannot be compared makes room, even if a kill follows.
    die_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        other.add(losses_of(rung, 0), {})
    monkeypatch.undo()
    assert other.measured() == set()
    other.add(losses_of(rung, 5), {})
    assert other.measured() == {5}


def test_seeds_of_two_machines_are_not_mixed(tmp_path, text):
    rung = short(RUNGS[1])
    record = rung_record(tmp_path, rung, text)
    record.add(losses_of(rung, 0), {"device": "a slow one"})
    record.check_machine({"device": "a slow one"})
    with pytest.raises(BadInput, match="on another machine"):
        record.check_machine({"device": "a fast one"})


def test_force_does_not_drop_seeds_that_it_was_not_asked_for(
    monkeypatch, capsys, tmp_path, text, text_file
):
    rung = RUNGS[1].shortened(max_iters=4)
    record = rung_record(tmp_path, rung, text)
    record.add(losses_of(rung, 0), {"device": "another machine"})
    words = ["--text", str(text_file), "--out", str(tmp_path), "--max-iters", "4"]
    words += ["--rungs", "2", "--seeds", "1", "1", "--force"]
    assert "on another machine" in in_process(monkeypatch, capsys, *words)
    assert record.measured() == {0}


def test_a_csv_without_its_json_is_not_thrown_away(tmp_path, text):
    rung = short(RUNGS[1])
    record = rung_record(tmp_path, rung, text)
    record.add(losses_of(rung, 0), {})
    record.json.unlink()
    with pytest.raises(BadInput, match="02_single_head.json, which says how .* is missing"):
        record.measured()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("with_csv", [False, True])
def test_a_damaged_json_is_found_before_anything_is_measured(tmp_path, text, force, with_csv):
    record = rung_record(tmp_path, short(RUNGS[1]), text)
    record.add(losses_of(RUNGS[1], 0), {})
    record.json.write_text("{")
    if not with_csv:
        record.csv.unlink()
    with pytest.raises(BadInput, match="02_single_head.json does not hold a JSON object"):
        record.missing([0], {}, force)


def test_a_key_is_read_back_to_the_last_digit(tmp_path):
    rate = 1 / 3000
    record = Record(tmp_path, "rates", {}, ["learning_rate"], ["learning_rate", "val_loss"])
    record.add(pd.DataFrame({"learning_rate": [rate], "val_loss": [2.123456789]}), {})
    assert record.missing([rate, 1e-3], {}) == [1e-3]
    assert record.csv.read_text().endswith(",2.12346\n")


def test_a_seed_that_diverged_is_not_reported_with_an_earlier_loss(tmp_path):
    diverged = losses_of(RUNGS[0], 0)
    diverged.loc[2, "val_loss"] = float("nan")
    assert final_losses(diverged).val_loss.isna().all()
    table = summary(pd.concat([diverged, losses_of(RUNGS[0], 1)]).assign(rung="01_bigram"))
    assert table.seeds["01_bigram"] == 2 and table.val_loss.isna().all()


def test_a_file_that_lacks_a_column_is_named(tmp_path):
    losses_of(RUNGS[0], 0).drop(columns="val_loss").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(BadInput, match="bad.csv has no column 'val_loss'"):
        read_losses(tmp_path)
    (tmp_path / "bad.csv").write_text("")
    with pytest.raises(BadInput, match="bad.csv is not a CSV file"):
        read_losses(tmp_path)
    with pytest.raises(BadInput, match="holds no loss files"):
        read_losses(tmp_path / "nowhere")


def run(command: list[str], *more: str) -> subprocess.CompletedProcess:
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_script_records_every_seed_and_measures_none_twice(command, tmp_path, text):
    few = ["--rungs", "bigram", "2", "--seeds", "0", "1", "--max-iters", "20"]
    result = run(command, *few)
    assert result.returncode == 0, result.stderr
    assert "single_head" in result.stdout
    csv = tmp_path / "out" / "02_single_head.csv"
    before = csv.read_bytes(), csv.stat().st_mtime_ns
    single = RUNGS[1].shortened(max_iters=20)
    _, alone = run_rung(single, text, seed=1, device=torch.device("cpu"))
    recorded = read_csv(csv, COLUMNS).query("seed == 1").reset_index(drop=True)
    pd.testing.assert_frame_equal(
        recorded.drop(columns="seconds"), alone.drop(columns="seconds"), atol=1e-5
    )
    again = run(command, *few)
    assert "on record" in again.stdout and (csv.read_bytes(), csv.stat().st_mtime_ns) == before


def wait_for(condition, seconds: float = 180) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An ended process that nobody has asked about yet still has an entry.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def children_of(pid: int) -> list[int]:
    listing = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(line) for line in listing.stdout.split()]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for child processes")
@pytest.mark.parametrize("blow", ["SIGINT", "SIGKILL"])
def test_finished_seeds_survive_being_stopped_and_no_process_is_left(command, tmp_path, blow):
    seeds = [str(seed) for seed in range(40)]
    many = [*command, "--rungs", "bigram", "--max-iters", "150", "--seeds", *seeds]
    blow = getattr(signal, blow)
    process = subprocess.Popen(
        many, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # Tests that a shell runs in the background inherit a deafness to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    csv = tmp_path / "out" / "01_bigram.csv"
    assert wait_for(csv.exists)
    workers = children_of(process.pid)
    if blow == signal.SIGINT:
        os.killpg(process.pid, blow)  # as a terminal does it: to every process in the group
        assert "continues from there" in process.communicate(timeout=120)[1]
        assert process.returncode == 1
    else:
        process.send_signal(blow)
        process.wait(timeout=120)
    assert workers and wait_for(lambda: not any(map(is_running, workers)))
    process.stdout.close()
    process.stderr.close()
    done = read_csv(csv, COLUMNS)
    assert (final_losses(done).step == 150).all() and 1 <= done.seed.nunique() < 40
    result = run(command, "--rungs", "bigram", "--max-iters", "150", "--seeds", "0", "1", "39")
    assert result.returncode == 0, result.stderr
    after = read_csv(csv, COLUMNS)
    pd.testing.assert_frame_equal(after[after.seed.isin(done.seed)].reset_index(drop=True), done)
    assert {0, 1, 39} <= set(after.seed)


def in_process(monkeypatch, capsys, *words: str) -> str:
    """What the script prints on stderr for these words; it must end with status 2."""
    monkeypatch.setattr(sys, "argv", ["ladder.py", *words])
    with pytest.raises(SystemExit) as ended:
        run_ladder.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--rungs", "trigram"], "no rung 'trigram'"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--text", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--jobs", "0"], "'0' is not a whole number from 1 to 61"),
        (["--jobs", "1000000"], "'1000000' is not a whole number from 1 to 61"),
        (["--max-iters", "-1"], "'-1' is not a whole number from 1"),
        (["--seeds", "0", str(2**63)], "is not a whole number from 0"),
    ],
)
def test_bad_words_get_one_sentence(monkeypatch, capsys, words, sentence):
    error = in_process(monkeypatch, capsys, *words)
    assert sentence in error and "Traceback" not in error and len(error.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_named_before_any_training(
    monkeypatch, capsys, text_file
):
    words = ["--text", str(text_file), "--out", str(text_file / "out")]
    assert "cannot be written" in in_process(monkeypatch, capsys, *words)


def test_of_the_scaled_up_rung_a_seeds_lowest_loss_counts_and_its_whole_time():
    losses = losses_of(RUNGS[0], 0).assign(val_loss=[3.0, 1.5, 2.0])
    losses = pd.concat([losses.assign(rung=rung.stem) for rung in (RUNGS[0], SCALED_UP)])
    table = summary(losses)
    assert table.val_loss.to_dict() == {"01_bigram": 2.0, "08_scaled_up": 1.5}
    assert table.seconds.tolist() == [2.0, 2.0]
    diverged = losses.assign(val_loss=[3.0, 1.5, float("nan")] * 2)
    assert summary(diverged).val_loss.isna().all()


@pytest.mark.slow
def test_a_text_too_short_gets_one_sentence_from_the_script(tmp_path):
    path = tmp_path / "short.txt"
    path.write_text("too short")
    result = run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--rungs", "2"], "--text", str(path)
    )
    assert result.returncode == 2 and "at least 9 tokens" in result.stderr
    assert "Traceback" not in result.stderr and not list(tmp_path.glob("*.csv"))


def test_the_recorded_losses_reach_the_goals():
    table = summary(read_losses())
    for stem, goal in GOALS.items():
        assert table.seeds[stem] >= 5 and table.val_loss[stem] <= goal, stem


@pytest.mark.parametrize("rung", RUNGS, ids=lambda r: r.stem)
def test_every_record_says_how_it_was_measured(rung):
    about = json.loads((LOSSES_DIR / f"{rung.stem}.json").read_text())
    losses = read_csv(LOSSES_DIR / f"{rung.stem}.csv", COLUMNS)
    assert about["text_sha256"] == TINY_SHAKESPEARE_SHA256
    assert about["hyperparameters"] == asdict(rung.settings)
    assert about["seeds"] == sorted(losses.seed.unique())
    assert {"torch", "device", "threads_per_seed", "totals", "parameters"} <= set(about)
    every = asdict(rung.settings)
    every = every.get("training", every)
    steps = [*range(0, every["max_iters"], every["eval_interval"]), every["max_iters"]]
    assert losses.step.tolist() == steps * len(about["seeds"])
    assert about["parameters"] == parameter_count(build_model(rung, 65, seed=0))


@pytest.mark.parametrize("folder", [LOSSES_DIR, EXPERIMENTS_DIR], ids=lambda path: path.name)
def test_every_csv_on_record_has_its_json_and_every_json_its_csv(folder):
    files = sorted(path.name for path in folder.iterdir())
    stems = {path.stem for path in folder.iterdir()}
    assert files == sorted(f"{stem}.{kind}" for stem in stems for kind in ("csv", "json"))
    for path in folder.glob("*.json"):
        about = json.loads(path.read_text())
        table = pd.read_csv(path.with_suffix(".csv"))
        assert about["text_sha256"] == TINY_SHAKESPEARE_SHA256
        # Where there is no chance, as in counting, there is no seed.
        seeds = {"seeds": sorted(table.seed.unique().tolist())} if "seed" in table else {}
        assert {name: about[name] for name in about if name == "seeds"} == seeds
