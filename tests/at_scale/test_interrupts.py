"""Ctrl-C stops a run between two steps."""

import os
import signal
import threading

from lessons.at_scale.checkpoints import read_checkpoint
from lessons.at_scale.interrupts import stop_requests
from lessons.at_scale.loop import train_at_scale
from lessons.batches import split
from lessons.errors import BadInput, Stopped
from tiny_runs import FEW, new_model, same

import pandas as pd
import pytest
from tqdm import tqdm


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends_the_program(number):
    def end(*_):
        raise InterruptedError

    before = signal.signal(number, end)
    try:
        with pytest.raises(InterruptedError), stop_requests() as asked:
            assert not asked()
            signal.raise_signal(number)
            assert asked()
            signal.raise_signal(number)
        with stop_requests() as asked:
            assert not asked()
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)


def test_a_thread_of_its_own_catches_nothing():
    before, seen = signal.getsignal(signal.SIGINT), []

    def look():
        with stop_requests() as asked:
            seen.append((asked(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


class InterruptedBar(tqdm):
    """Presses Ctrl-C in the thirteenth step."""

    def update(self, n=1):
        super().update(n)
        if self.n == 13:
            signal.raise_signal(signal.SIGINT)


def test_a_run_stopped_by_ctrl_c_saves_and_ends_with_the_same_bits_when_resumed(
    data, tmp_path, capfd
):
    whole = train_at_scale(new_model(0.2), *split(data), FEW, folder=tmp_path / "a")
    with pytest.raises(Stopped, match="Stopped at step 13 of 20, which is saved.*--resume"):
        train_at_scale(
            new_model(0.2), *split(data), FEW, folder=tmp_path / "b",
            progress=InterruptedBar(total=20),
        )  # fmt: skip
    assert "Stopping after this step; a second time stops at once." in capfd.readouterr().err
    stopped = read_checkpoint(tmp_path / "b" / "last.pt")
    assert stopped["step"] == 13
    resumed = train_at_scale(
        new_model(0.2),
        *split(data),
        FEW,
        folder=tmp_path / "b",
        resume_from=stopped,
    )
    a, b = (read_checkpoint(tmp_path / name / "last.pt") for name in "ab")
    assert same(a, b)
    pd.testing.assert_frame_equal(whole.drop(columns="seconds"), resumed.drop(columns="seconds"))


def test_a_reader_of_stderr_that_the_same_ctrl_c_ended_costs_no_step():
    reads, writes = os.pipe()
    os.close(reads)
    with stop_requests() as asked:
        kept = os.dup(2)
        os.dup2(writes, 2)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(writes)
        assert asked()
