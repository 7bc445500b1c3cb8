"""Counting against the small GPT: what each record says, tried on a short text."""

import math

import counted
import counting
import counting_apart
from lessons.counting import CountModel, as_numbers
from lessons.errors import BadInput
from lessons.files import read_csv

import pandas as pd
import pytest
import torch

TEXT = "KING:\nNow is the winter of our discontent,\n\nQUEEN ANNE:\nMade glorious.\n" * 40


def test_every_character_has_a_kind():
    kinds = counting_apart.kinds_of("\nLady Anne:\nIt's so.\n")
    assert kinds == [
        "line break", *["speaker's name"] * 10, "line break", "first of a line",
        "inside a word", "space or mark", "inside a word", "space or mark",
        "first letter of a word", "inside a word", "space or mark", "line break",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "longest"), [("the sea she sells", 9), ("zzz", 0), ("", 0), ("seashells", 6)]
)
def test_the_longest_copy_is_a_stretch_of_the_text(sample, longest):
    assert counting_apart.longest_copy(sample, "she sells sea shells") == longest


def test_a_mixture_adds_shares_and_not_their_logarithms():
    one, other = torch.tensor([0.9, 0.01]).log(), torch.tensor([0.1, 0.9]).log()
    mixture = counting_apart.mixed(one, other, 0.25)
    torch.testing.assert_close(mixture.exp(), torch.tensor([0.3, 0.6775]))


def test_added_counts_are_laplaces():
    data, val = torch.tensor([0, 1, 0, 2, 0, 1]), torch.tensor([0, 2, 2])
    # After 1, of one count a 0; after 0, of three counts one 2; after 2, of one count no 2.
    shares = [(1 + 0.5) / (1 + 1.5), (1 + 0.5) / (3 + 1.5), 0.5 / (1 + 1.5)]
    expected = -sum(map(math.log, shares)) / 3
    assert counting.added_loss(0.5, 1, data, val, 3) == pytest.approx(expected)


def test_one_discount_takes_the_same_from_every_count_and_may_count_plainly():
    data = torch.tensor([0, 1, 0, 1, 0, 1, 2, 1, 0])
    model = counting.one_discount(CountModel(data, 3, 1))
    assert model.counts[0].tolist() == [1, 2, 1]
    plain = counting.one_discount(CountModel(data, 3, 1), data)
    assert plain.counts[0].tolist() == [4, 4, 1]
    for discount in (*model.discounts, *plain.discounts):
        assert discount[0] == 0 and discount[1] == discount[2] == discount[3] > 0
    shares = plain.shares(as_numbers(torch.tensor([[0], [1], [2]]), 3), 1)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(3))


def test_each_seed_learns_from_another_stretch_and_all_of_the_text_is_one():
    data = torch.arange(1000)
    parts = [counting.stretch(data, 10, seed) for seed in range(5)]
    assert all(part.tolist() == list(range(part[0], part[0] + 10)) for part in parts)
    assert len({part[0].item() for part in parts}) == 5
    assert torch.equal(counting.stretch(data, 1000, 3), data)


def test_a_length_that_was_not_swept_gets_one_sentence():
    with pytest.raises(BadInput, match="no rows for 12,345 characters: run counting.py first"):
        counted.best(pd.DataFrame({"n_chars": [10], "loss": [2.0]}), 12_345)


def test_both_scripts_fill_their_records_once(tmp_path, monkeypatch, capsys):
    for module in (counting, counting_apart):
        monkeypatch.setattr(module, "load_text", lambda: TEXT)
    monkeypatch.setattr(counting, "RATES", (1e-3,))
    monkeypatch.setattr(counting, "ORDERS", range(1, 3))
    monkeypatch.setattr(counting_apart, "LENGTH", 10)
    words = ["", "--out", str(tmp_path), "--max-iters", "2", "--seeds", "0"]
    for module in (counting, counting_apart):
        monkeypatch.setattr("sys.argv", words)
        module.main()
    orders = read_csv(tmp_path / "counting_orders.csv", ["method", "order", "val_loss", "runs"])
    assert len(orders) == 10
    sizes = read_csv(tmp_path / "counting_sizes.csv", ["n_chars", "model", "seed", "val_loss"])
    assert sizes.model.tolist() == ["counting", "gpt"]
    n_train = int(0.9 * len(TEXT))
    best = counted.best(read_csv(tmp_path / "counting_sweep.csv", ["n_chars", "loss"]), n_train)
    assert best.loss == pd.read_csv(tmp_path / "counting_sweep.csv").loss.min()
    kinds = read_csv(tmp_path / "counting_kinds.csv", ["kind", "characters", "mixture"])
    mixture = read_csv(tmp_path / "counting_mixture.csv", ["gpt_share", "gpt", "mixture"])
    n_val = len(TEXT) - n_train
    assert kinds.characters.sum() == n_val - 1
    for name in counting_apart.MODELS:
        mean = (kinds[name] * kinds.characters).sum() / (n_val - 1)
        assert mean == pytest.approx(mixture[name][0], abs=1e-4)
    assert len(pd.read_csv(tmp_path / "counting_copies.csv")) == 3 * counting_apart.SAMPLES
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", words)
    counting_apart.main()
    assert capsys.readouterr().out.count("on record") == 3
