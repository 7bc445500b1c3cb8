"""A claim on the record holds if it is better, not by luck, and takes no more time."""

import claim
from lessons.errors import BadInput
from lessons.modern import recipes

import pandas as pd
import pytest

LINE = pd.Series([1.466, 1.467, 1.472]), 0.25
BETTER = pd.Series([1.450, 1.451, 1.452])


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ((BETTER, 0.25), []),
        ((BETTER, 0.26), []),
        ((BETTER[:2], 0.25), ["2 seeds are too few"]),
        ((pd.Series([1.45, 1.45, 1.45]), 0.25), ["1 seeds are too few"]),  # one run, three times
        ((BETTER + 0.0165, 0.25), ["It may be luck: p is"]),
        ((BETTER + 0.02, 0.25), ["is not below 1.4683", "It may be luck"]),
        ((BETTER, 0.3), ["It takes 0.300 of nanoGPT's time in the same run, and the line 0.250"]),
    ],
)
def test_each_rule_that_is_not_kept_has_a_sentence(claimed, said):
    found = claim.objections(claimed, LINE)
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


def test_time_is_a_part_of_nanogpts_in_the_same_table():
    rows = pd.DataFrame({
        "way": ["nanogpt", "nanogpt", "mine", "mine", "mine"], "budget": [0, 0, 20, 20, 5],
        "seconds": [70.0, 90.0, 20.0, 20.0, 5.0], "val_loss": [1.7, 1.8, 1.4, 1.5, 1.6],
    })  # fmt: skip
    losses, time = claim.losses_and_time(rows, "mine", 20)
    assert losses.tolist() == [1.4, 1.5] and time == 0.25
    with pytest.raises(BadInput, match="no line for mine and 7; lines are .*'mine', 20"):
        claim.losses_and_time(rows, "mine", 7)


@pytest.mark.parametrize("loss", [1.1, 3.3])
def test_the_script_runs_both_in_turn_and_its_status_is_its_verdict(loss, monkeypatch, capsys):
    def measured(way, seconds, seed):
        nanogpt = way == "nanogpt"
        return {"seconds": 80.0 if nanogpt else 15.0, "val_loss": loss + seed / 1000}

    threads = []  # and this process keeps its own
    monkeypatch.setattr(claim.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(claim, "run", measured)
    monkeypatch.setattr("sys.argv", ["", "--seconds", "15", "--seeds", "0", "1", "2"])
    with pytest.raises(SystemExit) as ended:
        claim.main()
    assert threads == [claim.THREADS]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == 3 * ["nanogpt", "joined"]
    assert bool(ended.value.code) == (loss > 2)
    assert ("The claim holds" in lines[-1]) == (loss < 2)
    assert set(recipes.WAYS) >= {"nanogpt", "joined"}
