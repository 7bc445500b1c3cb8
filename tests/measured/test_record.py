"""The record: its recipes keep their budgets, its two scripts say what they measured."""

import runpy
from dataclasses import replace

from lessons.course.address import ROOT
from lessons.files import read_csv
from lessons.modern import recipes
from lessons.modern.model import ModernConfig

import pandas as pd
import pytest
import torch

TEXT = "KING:\nNow is the winter of our discontent,\n\nQUEEN ANNE:\nMade glorious.\n" * 40
TINY = ModernConfig(vocab_size=65, block_size=8, n_layer=1, n_head=2, n_group=2, n_embd=16,
                    n_hidden=32)  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(recipes, "load_text", lambda: TEXT)
    monkeypatch.setattr("lessons.corpus.load_text", lambda: TEXT)
    for name in ("SHORT", "LONG"):
        few = {way: replace(it, shape=TINY) for way, it in getattr(recipes, name).items()}
        monkeypatch.setattr(recipes, name, few)


def run_script(name: str, monkeypatch, *words: str) -> None:
    # By their paths: one in bench/ and one in measure/ have the same name.
    monkeypatch.setattr("sys.argv", ["", *words])
    path = ROOT / "helper_scripts" / name
    monkeypatch.syspath_prepend(path.parent)
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("way", recipes.WAYS)
def test_a_way_takes_its_steps_and_the_same_seed_gives_the_same_loss(way):
    one, other = (recipes.run(way, 0, seed=1, steps=10) for _ in range(2))
    assert one["steps"] == (10 if way == "nanogpt" else 9)
    assert one["val_loss"] == other["val_loss"]
    assert recipes.run(way, 0, seed=2, steps=10)["val_loss"] != one["val_loss"]


@pytest.mark.parametrize("way", ["plain", "joined"])
def test_a_budget_of_seconds_is_spent_and_hardly_more(way):
    measured = recipes.run(way, 1, seed=0)
    assert 1 <= measured["seconds"] < 2 and measured["steps"] > 1


@pytest.mark.parametrize("way", ["plain", "joined"])
def test_who_has_long_drops_channels_while_it_learns(way):
    torch.manual_seed(1)
    for seconds, dropped in ((60, 0), (300, recipes.LONG[way].dropout)):
        gpt = recipes.new_gpt(recipes.recipe_for(way, seconds), V=5)
        ids = torch.zeros(1, 1000, dtype=torch.int64)
        for silent in (dropped, 0):
            share = (gpt.token_embedding(ids) == 0).float().mean()
            assert share == pytest.approx(silent, abs=0.02)
            gpt.eval()


def test_held_out_text_is_the_end_of_what_is_learned_from(monkeypatch):
    seen = []
    monkeypatch.setitem(recipes.WAYS, "spy", lambda data, V, *rest: (
        lambda val: seen.append((len(data), len(val))), 1, 1))  # fmt: skip
    for held_out in (False, True):
        recipes.run("spy", 0, 0, held_out)
    n_train = int(0.9 * len(TEXT))
    n_part = int(0.9 * n_train)
    assert seen == [(n_train, len(TEXT) - n_train), (n_part, n_train - n_part)]


def test_the_record_has_a_row_for_each_way_budget_and_seed_and_none_twice(
    tmp_path, monkeypatch, capsys
):
    words = ["--out", str(tmp_path), "--max-iters", "2", "--seeds", "0", "1", "--seconds", "0", "1"]
    run_script("measure/record.py", monkeypatch, *words)
    table = read_csv(tmp_path / "record.csv", ["way", "budget", "seed", "seconds", "val_loss"])
    assert len(table) == 2 * (3 + 1)
    assert set(table[table.budget == 1].way) == {"joined"}
    capsys.readouterr()
    run_script("measure/record.py", monkeypatch, *words)
    assert "on record" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "record.csv").equals(table)


def test_what_is_held_out_is_printed_and_not_recorded(tmp_path, monkeypatch, capsys):
    run_script("measure/record.py", monkeypatch, "--out", str(tmp_path), "--held-out", "--ways",
               "joined", "--max-iters", "2", "--seeds", "0", "--seconds", "0")  # fmt: skip
    assert "joined 0 0 {'steps': 2" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_benchmark_alternates_and_compares_with_nanogpt(monkeypatch, capsys):
    run_script("bench/record.py", monkeypatch, "--rounds", "2", "--max-iters", "2")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["nanogpt", "plain", "joined"] * 2
    assert lines[8].startswith("nanogpt") and lines[8].endswith("1.000")
