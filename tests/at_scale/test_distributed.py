"""Two processes of torchrun train one model."""

import json
import signal

from lessons.at_scale.checkpoints import read_checkpoint
from tiny_runs import gloo, torchrun, wait_for_a_checkpoint

import psutil
import pytest

pytestmark = [pytest.mark.slow, gloo]


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


def test_a_stopped_run_of_two_processes_says_once_how_to_go_on(tmp_path, text_file):
    folder = tmp_path / "run"
    with torchrun(folder, text_file, "--max-iters", "1000000") as process:
        wait_for_a_checkpoint(process, folder)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert errors.count("which is saved: the same command with --resume") == 1


def test_a_process_that_dies_ends_the_run_with_a_sentence(tmp_path, text_file):
    folder = tmp_path / "run"
    with torchrun(folder, text_file, "--max-iters", "1000000") as process:
        wait_for_a_checkpoint(process, folder)
        workers = psutil.Process(process.pid).children()
        worker = next(w for w in workers if w.environ().get("RANK") == "1")
        worker.kill()
        # Without help from us the other would wait for half an hour.
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "has died or cannot be reached, so process 0 of 2 stopped too: start the run" in errors
    assert not any(w.is_running() for w in workers)
    assert read_checkpoint(folder / "last.pt")
